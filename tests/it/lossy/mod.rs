//! A disk that forgets what was not fsynced: a file system in memory, mounted through FUSE, for tests that cut the power and
//! for disks that fail.
//!
//! The process that serves it must map none of its files into memory, as SQLite does: the kernel would wait for itself. Look
//! at a copy of the image instead.
//!
//! It needs `/dev/fuse`, which this user may read and write, as on every Debian with udev, and either root or Debian's
//! `fusermount3`. A machine without it fails those tests: nothing else would show what they show.

pub mod dice;
pub mod gate;
pub mod image;
mod serve;

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, MutexGuard, mpsc},
    thread,
    time::{Duration, Instant},
};

use fuser::{BackgroundSession, Config, MountOption};
use rustix::process::{Pid, Signal, kill_process};

pub use gate::{Fault, Step};
pub use image::Image;
use serve::{Served, Shared};

use crate::engine::PATIENCE;

/// The folder that it is mounted on.
const DISK: &str = "disk";
/// Between two looks at a process.
const GLANCE: Duration = Duration::from_millis(1);

/// The disk, mounted on a folder of its own until this is dropped.
pub struct Lossy {
    shared: Arc<Mutex<Shared>>,
    mounted: Option<Mounted>,
    /// Holds the folder that it is mounted on, and what the programs on it say.
    folder: tempfile::TempDir,
    path: PathBuf,
}

struct Mounted {
    session: BackgroundSession,
    cut: mpsc::Receiver<()>,
    over: mpsc::Sender<()>,
}

/// A program that has met a fault and takes no step for so long waits for better times. If it only was slow, that does no
/// harm either.
const WAITS_AFTER: Duration = Duration::from_millis(300);

/// How a program came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Itself(i32),
    /// Killed when the power was cut.
    Cut,
}

impl Lossy {
    /// An empty disk.
    pub fn new() -> Self {
        Self::with(Image::default())
    }

    /// A disk with these files.
    pub fn with(image: Image) -> Self {
        let folder = tempfile::Builder::new().prefix("lossy").tempdir().expect("a folder to mount on");
        fs::create_dir(folder.path().join(DISK)).expect("a folder to mount on");
        let shared = Arc::new(Mutex::new(Shared { image, ..Shared::default() }));
        let path = folder.path().join(DISK);
        let mut disk = Self { shared, mounted: None, folder, path };
        disk.mount();
        disk
    }

    /// The folder that it is mounted on.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of another disk, for what programs have to say.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("the disk does not panic")
    }

    fn mount(&mut self) {
        let of = fs::metadata(&self.path).expect("the folder to mount on");
        let (cut, cuts) = mpsc::channel();
        let (over, overs) = mpsc::channel();
        let served = Served {
            shared: Arc::clone(&self.shared),
            owner: (of.uid(), of.gid()),
            cut,
            over: Mutex::new(overs),
        };
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("wharf-test".to_owned()), MountOption::NoAtime];
        let session = fuser::spawn_mount(served, &self.path, &config).expect(
            "this test needs /dev/fuse, a user who may open it, and Debian's package fuse3; on Debian with udev, everybody may",
        );
        self.mounted = Some(Mounted { session, cut: cuts, over });
    }

    fn unmount(&mut self) {
        if let Some(mounted) = self.mounted.take() {
            let begun = Instant::now();
            // What a process had open is let go of a moment after its end.
            while !unmounted(&self.path) {
                assert!(begun.elapsed() < PATIENCE, "the disk is in use and cannot be unmounted");
                thread::sleep(GLANCE);
            }
            drop(mounted.session);
        }
    }

    /// Everything as it is now; durable or not.
    pub fn image(&self) -> Image {
        self.lock().image.clone()
    }

    /// Puts other files in place of all there are; nobody may have any open. Nothing is armed and counted any more.
    pub fn reset(&mut self, image: Image) {
        self.unmount();
        *self.lock() = Shared { image, ..Shared::default() };
        self.mount();
    }

    /// Makes everything durable, as it is by the time that nobody remembers who wrote it.
    pub fn settle(&self) {
        self.lock().image.settle();
    }

    /// Counts from now on.
    pub fn count(&self) {
        self.lock().gate = gate::Gate::default();
    }

    /// What was done since: each step that changes the disk, with the name of the file.
    pub fn done(&self) -> Vec<(Step, String)> {
        self.lock().gate.done.clone()
    }

    /// The power will be cut before this step, counted from now and from 0; what survives of the changes that are not
    /// durable is decided by the seed, or nothing does.
    pub fn cut_before(&self, step: usize, seed: Option<u64>) {
        let mut shared = self.lock();
        shared.gate = gate::Gate { cut_at: Some(step), ..gate::Gate::default() };
        shared.seed = seed;
    }

    /// Steps will fail, counted from now.
    pub fn break_with(&self, fault: Fault) {
        self.lock().gate = gate::Gate { fault: Some(fault), ..gate::Gate::default() };
    }

    /// Nothing fails any more. What failed.
    pub fn mend(&self) -> Vec<(Step, String)> {
        std::mem::take(&mut self.lock().gate).failed
    }

    /// Waits for the end of a process that works on the disk, and kills it when the power is cut. One that waits for a broken
    /// disk to be mended is told to stop, as it would wait for minutes.
    #[track_caller]
    pub fn watch(&self, child: &mut Child) -> Ended {
        let mounted = self.mounted.as_ref().expect("it is mounted");
        let begun = Instant::now();
        let (mut seen, mut since, mut is_told) = (0, Instant::now(), false);
        loop {
            let (steps, is_broken) = self.progress();
            if steps != seen {
                (seen, since) = (steps, Instant::now());
            } else if is_broken && !is_told && since.elapsed() > WAITS_AFTER {
                // One that ends at this moment cannot be told, which is as good.
                let _ = kill_process(Pid::from_child(child), Signal::TERM);
                is_told = true;
            }
            if mounted.cut.recv_timeout(GLANCE).is_ok() {
                child.kill().expect("a process of ours");
                // It cannot die before the request that it waits for is answered.
                let _ = mounted.over.send(());
                child.wait().expect("a process of ours");
                return Ended::Cut;
            }
            if let Some(status) = child.try_wait().expect("a process of ours") {
                return Ended::Itself(ExitStatus::code(&status).unwrap_or(-1));
            }
            if begun.elapsed() > PATIENCE {
                let _ = child.kill();
                panic!("waited in vain for the end of the program");
            }
        }
    }

    /// How many steps were taken, and whether one has failed.
    fn progress(&self) -> (usize, bool) {
        let shared = self.lock();
        (shared.gate.done.len() + shared.gate.failed.len(), !shared.gate.failed.is_empty())
    }

    /// The power is cut, now if it has not been, and comes back. Nobody may be at work on the disk.
    pub fn power_cut(&mut self, seed: Option<u64>) {
        let left = {
            let shared = self.lock();
            shared.left.clone().unwrap_or_else(|| shared.image.survivors(seed))
        };
        self.reset(left);
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = Command::new("umount").arg("--lazy").arg(&self.path).output();
            let _ = Command::new("fusermount3").args(["-u", "-z"]).arg(&self.path).output();
            self.mounted = None;
        } else {
            self.unmount();
        }
    }
}

/// Unmounts what is mounted there, unless it is in use.
fn unmounted(on: &Path) -> bool {
    let own = |program: &str, flags: &[&str]| {
        let ran = Command::new(program).args(flags).arg(on).output();
        ran.is_ok_and(|ran| ran.status.success())
    };
    own("umount", &[]) || own("fusermount3", &["-u"])
}
