//! The requests of the kernel, answered from the image.

use std::{
    ffi::OsStr,
    sync::{Arc, Mutex, MutexGuard, mpsc},
    time::{Duration, SystemTime},
};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::{
    gate::{Gate, Pass, Step},
    image::{Change, Content, Image, Number},
};

/// Nobody but the kernel changes anything while the disk is mounted, so it may remember all it was told.
const REMEMBERED: Duration = Duration::from_secs(3600);
const BLOCK: u32 = 4096;
/// The folder from which partners drop files.
const DESK: &str = "desk";
/// The disk is large: that it is full is told by a fault.
const BLOCKS: u64 = 1 << 20;
/// Who was told that the power is cut ends the program at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the disk and those who mount it share.
#[derive(Debug, Default)]
pub struct Shared {
    pub image: Image,
    pub gate: Gate,
    /// What is left after a cut, by the seed of the cut.
    pub left: Option<Image>,
    pub seed: Option<u64>,
}

/// The disk as the kernel sees it.
pub struct Served {
    pub shared: Arc<Mutex<Shared>>,
    pub owner: (u32, u32),
    /// Told when the power is cut.
    pub cut: mpsc::Sender<()>,
    /// Says that nobody lives who could see that anything is answered after that.
    pub over: Mutex<mpsc::Receiver<()>>,
}

impl Served {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("no test panics in here")
    }

    /// Takes a step on this file or folder, unless it fails.
    fn step<T>(
        &self,
        step: Step,
        on: (INodeNo, Option<&OsStr>),
        act: impl FnOnce(&mut Image) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let mut shared = self.lock();
        let name = match on.1 {
            Some(name) => name.to_string_lossy().into_owned(),
            None => shared.image.node(on.0.0)?.name.to_string_lossy().into_owned(),
        };
        match shared.gate.pass(step, &name) {
            Pass::Go => act(&mut shared.image),
            Pass::Fails(errno) => {
                if matches!(step, Step::Sync | Step::SyncFolder) {
                    shared.image.fail_sync(on.0.0);
                }
                Err(errno)
            }
            Pass::Dark => {
                shared.left = Some(shared.image.survivors(shared.seed));
                drop(shared);
                let _ = self.cut.send(());
                let _ = self.over.lock().expect("one thread serves").recv_timeout(PATIENCE);
                Err(Errno::EIO)
            }
        }
    }

    fn attributes(&self, image: &Image, number: Number) -> Result<FileAttr, Errno> {
        let node = image.node(number)?;
        let (kind, size) = match &node.content {
            Content::File { bytes, .. } => (FileType::RegularFile, bytes.len() as u64),
            Content::Folder { .. } => (FileType::Directory, BLOCK.into()),
        };
        Ok(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size.div_ceil(512),
            atime: node.modified,
            mtime: node.modified,
            ctime: node.changed,
            crtime: node.changed,
            kind,
            perm: u16::try_from(node.mode & 0o7777).unwrap_or_default(),
            nlink: node.links,
            uid: self.owner.0,
            gid: self.owner.1,
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        })
    }

    fn make(&self, folder: INodeNo, name: &OsStr, mode: u32, is_folder: bool) -> Result<FileAttr, Errno> {
        self.step(Step::Make, (folder, Some(name)), |image| {
            let number = image.make(folder.0, name, mode, is_folder)?;
            self.attributes(image, number)
        })
    }
}

fn answer<T>(result: Result<T, Errno>, reply: ReplyEmpty) {
    match result {
        Ok(_) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

fn entry(result: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match result {
        Ok(found) => reply.entry(&REMEMBERED, &found, Generation(0)),
        Err(errno) => reply.error(errno),
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let shared = self.lock();
        let found = shared.image.find(parent.0, name);
        entry(found.and_then(|number| self.attributes(&shared.image, number)), reply);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(&self.lock().image, number.0) {
            Ok(found) => reply.attr(&REMEMBERED, &found),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let resized = match size.and_then(|size| usize::try_from(size).ok()) {
            Some(size) => {
                self.step(Step::Resize, (number, None), |image| image.change(number.0, Change::Size(size)))
            }
            None => Ok(()),
        };
        let mut shared = self.lock();
        let done = resized.and_then(|()| {
            let node = shared.image.node_mut(number.0)?;
            node.mode = mode.unwrap_or(node.mode);
            node.modified = match mtime {
                Some(TimeOrNow::SpecificTime(time)) => time,
                Some(TimeOrNow::Now) => SystemTime::now(),
                None => node.modified,
            };
            node.changed = SystemTime::now();
            self.attributes(&shared.image, number.0)
        });
        match done {
            Ok(found) => reply.attr(&REMEMBERED, &found),
            Err(errno) => reply.error(errno),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        entry(self.make(parent, name, mode & !umask, true), reply);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match self.make(parent, name, mode & !umask, false) {
            Ok(made) => {
                reply.created(&REMEMBERED, &made, Generation(0), FileHandle(0), FopenFlags::empty());
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let on = (parent, Some(name));
        answer(self.step(Step::Remove, on, |image| image.remove(parent.0, name, false)), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let on = (parent, Some(name));
        answer(self.step(Step::Remove, on, |image| image.remove(parent.0, name, true)), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if flags.contains(RenameFlags::RENAME_EXCHANGE) {
            return reply.error(Errno::EINVAL);
        }
        let replaces = !flags.contains(RenameFlags::RENAME_NOREPLACE);
        let renamed = self.step(Step::Rename, (parent, Some(name)), |image| {
            image.rename((parent.0, name), (new_parent.0, new_name), replaces)?;
            // What comes from a partner's desk is whole and durable, as far as that partner knows.
            let is_dropped = image.node(parent.0)?.name == DESK;
            if is_dropped {
                image.keep(new_parent.0, new_name)?;
                image.sync(parent.0)?;
            }
            Ok(())
        });
        answer(renamed, reply);
    }

    fn link(&self, _: &Request, number: INodeNo, folder: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = self.step(Step::Link, (folder, Some(name)), |image| {
            image.link(number.0, folder.0, name)?;
            self.attributes(image, number.0)
        });
        entry(linked, reply);
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.step(Step::Open, (number, None), |_| Ok(())) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let shared = self.lock();
        if shared.gate.dark {
            return reply.error(Errno::EIO);
        }
        match shared.image.node(number.0).map(|node| &node.content) {
            Ok(Content::File { bytes, .. }) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let end = start.saturating_add(size as usize).min(bytes.len());
                reply.data(&bytes[start..end]);
            }
            Ok(Content::Folder { .. }) => reply.error(Errno::EISDIR),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        how: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let change =
            Change::Write { at: usize::try_from(offset).expect("a small file"), bytes: data.to_vec() };
        // What was mapped into memory, SQLite's index of its log, is written when the kernel likes, and matters to nobody.
        let written = if how.contains(WriteFlags::FUSE_WRITE_CACHE) {
            self.lock().image.change(number.0, change)
        } else {
            self.step(Step::Write, (number, None), |image| image.change(number.0, change))
        };
        match written {
            Ok(()) => reply.written(u32::try_from(data.len()).expect("a small write")),
            Err(errno) => reply.error(errno),
        }
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(self.step(Step::Sync, (number, None), |image| image.sync(number.0)), reply);
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(self.step(Step::SyncFolder, (number, None), |image| image.sync(number.0)), reply);
    }

    fn readdir(&self, _: &Request, number: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let shared = self.lock();
        let names = match shared.image.names(number.0) {
            Ok(names) => names,
            Err(errno) => return reply.error(errno),
        };
        let own = [(OsStr::new("."), number.0), (OsStr::new(".."), number.0)];
        let all = own.into_iter().chain(names.iter().map(|(name, number)| (name.as_os_str(), *number)));
        for (at, (name, number)) in (1u64..).zip(all).skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
            let is_file =
                shared.image.node(number).is_ok_and(|node| matches!(node.content, Content::File { .. }));
            let kind = if is_file { FileType::RegularFile } else { FileType::Directory };
            if reply.add(INodeNo(number), at, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCK, 255, BLOCK);
    }
}
