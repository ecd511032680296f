//! What is on the disk of [`super::Lossy`]: every file and folder twice, as programs see it now and as it would be found after
//! the power was cut.
//!
//! It is as weak as POSIX allows. The content of a file is durable when that file is fsynced, a name in a folder when that
//! folder is, and a rename from one folder to another is two changes as soon as only one of them is fsynced. After an
//! fsync that failed, what it should have written is lost for good, although programs still read it, and the next fsync
//! succeeds without it: so does Linux.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs, io,
    path::Path,
    time::SystemTime,
};

use fuser::Errno;

use super::dice::Dice;

/// The number of a file or folder.
pub type Number = u64;
/// The topmost folder.
pub const ROOT: Number = 1;
/// What a disk writes at once; a write may survive in part, in pieces of this size.
const SECTOR: usize = 512;

/// All files and folders.
#[derive(Clone, Debug)]
pub struct Image {
    nodes: BTreeMap<Number, Node>,
    next: Number,
    /// Changes of names that are not durable, in their order.
    pending: Vec<Naming>,
}

/// A file or folder.
#[derive(Clone, Debug)]
pub struct Node {
    pub content: Content,
    pub mode: u32,
    pub links: u32,
    pub modified: SystemTime,
    pub changed: SystemTime,
    /// Its latest name, for messages.
    pub name: OsString,
}

/// What is in it.
#[derive(Clone, Debug)]
pub enum Content {
    File { bytes: Vec<u8>, durable: Vec<u8>, pending: Vec<Change> },
    Folder { entries: Names, durable: Names },
}

type Names = BTreeMap<OsString, Number>;

/// A change of a file's content that is not durable.
#[derive(Clone, Debug)]
pub enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Size(usize),
}

/// A change of names that is not durable.
#[derive(Clone, Debug)]
enum Naming {
    Name(Number, OsString, Number),
    Forget(Number, OsString),
    Move { from: (Number, OsString), to: (Number, OsString), number: Number },
}

impl Default for Image {
    fn default() -> Self {
        let mut image = Self { nodes: BTreeMap::new(), next: ROOT, pending: Vec::new() };
        image.add(OsStr::new("/"), 0o755, true);
        image
    }
}

impl Image {
    fn add(&mut self, name: &OsStr, mode: u32, is_folder: bool) -> Number {
        let (number, now) = (self.next, SystemTime::now());
        self.next += 1;
        let content = match is_folder {
            true => Content::Folder { entries: Names::new(), durable: Names::new() },
            false => Content::File { bytes: Vec::new(), durable: Vec::new(), pending: Vec::new() },
        };
        let links = if is_folder { 2 } else { 1 };
        let node = Node { content, mode, links, modified: now, changed: now, name: name.to_owned() };
        self.nodes.insert(number, node);
        number
    }

    pub fn node(&self, number: Number) -> Result<&Node, Errno> {
        self.nodes.get(&number).ok_or(Errno::ESTALE)
    }

    pub fn node_mut(&mut self, number: Number) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&number).ok_or(Errno::ESTALE)
    }

    /// The names in a folder.
    pub fn names(&self, folder: Number) -> Result<&Names, Errno> {
        match &self.node(folder)?.content {
            Content::Folder { entries, .. } => Ok(entries),
            Content::File { .. } => Err(Errno::ENOTDIR),
        }
    }

    fn names_mut(&mut self, folder: Number) -> Result<&mut Names, Errno> {
        let node = self.node_mut(folder)?;
        node.modified = SystemTime::now();
        match &mut node.content {
            Content::Folder { entries, .. } => Ok(entries),
            Content::File { .. } => Err(Errno::ENOTDIR),
        }
    }

    pub fn find(&self, folder: Number, name: &OsStr) -> Result<Number, Errno> {
        self.names(folder)?.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// Makes a file or folder.
    pub fn make(
        &mut self,
        folder: Number,
        name: &OsStr,
        mode: u32,
        is_folder: bool,
    ) -> Result<Number, Errno> {
        if self.find(folder, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        let number = self.add(name, mode, is_folder);
        self.names_mut(folder)?.insert(name.to_owned(), number);
        self.pending.push(Naming::Name(folder, name.to_owned(), number));
        Ok(number)
    }

    /// Gives a file another name besides.
    pub fn link(&mut self, number: Number, folder: Number, name: &OsStr) -> Result<(), Errno> {
        if self.find(folder, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        self.node_mut(number)?.links += 1;
        self.names_mut(folder)?.insert(name.to_owned(), number);
        self.pending.push(Naming::Name(folder, name.to_owned(), number));
        Ok(())
    }

    /// Takes a name away; who has the file open keeps it.
    pub fn remove(&mut self, folder: Number, name: &OsStr, is_folder: bool) -> Result<(), Errno> {
        let number = self.find(folder, name)?;
        match &self.node(number)?.content {
            Content::Folder { .. } if !is_folder => return Err(Errno::EISDIR),
            Content::Folder { entries, .. } if !entries.is_empty() => return Err(Errno::ENOTEMPTY),
            Content::File { .. } if is_folder => return Err(Errno::ENOTDIR),
            _ => {}
        }
        self.names_mut(folder)?.remove(name);
        let node = self.node_mut(number)?;
        node.links = node.links.saturating_sub(1);
        self.pending.push(Naming::Forget(folder, name.to_owned()));
        Ok(())
    }

    pub fn rename(
        &mut self,
        from: (Number, &OsStr),
        to: (Number, &OsStr),
        replaces: bool,
    ) -> Result<(), Errno> {
        let number = self.find(from.0, from.1)?;
        match self.find(to.0, to.1) {
            Ok(_) if !replaces => return Err(Errno::EEXIST),
            Ok(same) if same == number => return Ok(()),
            Ok(other) => {
                let node = self.node_mut(other)?;
                node.links = node.links.saturating_sub(1);
            }
            Err(_) => {}
        }
        self.names_mut(from.0)?.remove(from.1);
        self.names_mut(to.0)?.insert(to.1.to_owned(), number);
        let node = self.node_mut(number)?;
        (node.changed, node.name) = (SystemTime::now(), to.1.to_owned());
        let own = |place: (Number, &OsStr)| (place.0, place.1.to_owned());
        self.pending.push(Naming::Move { from: own(from), to: own(to), number });
        Ok(())
    }

    /// Makes a file durable under its name, as by a partner whose disk is not our business.
    pub fn keep(&mut self, folder: Number, name: &OsStr) -> Result<(), Errno> {
        let number = self.find(folder, name)?;
        self.sync(number)?;
        if let Content::Folder { durable, .. } = &mut self.node_mut(folder)?.content {
            durable.insert(name.to_owned(), number);
        }
        let pending = std::mem::take(&mut self.pending);
        let keep = |naming| match naming {
            Naming::Name(at, of, _) if at == folder && of == name => None,
            Naming::Move { from, to, .. } if to.0 == folder && to.1 == name => {
                Some(Naming::Forget(from.0, from.1))
            }
            other => Some(other),
        };
        self.pending = pending.into_iter().filter_map(keep).collect();
        Ok(())
    }

    pub fn change(&mut self, number: Number, change: Change) -> Result<(), Errno> {
        let node = self.node_mut(number)?;
        let Content::File { bytes, pending, .. } = &mut node.content else { return Err(Errno::EISDIR) };
        change.apply(bytes);
        pending.push(change);
        (node.modified, node.changed) = (SystemTime::now(), SystemTime::now());
        Ok(())
    }

    /// Makes durable what a file holds, or the names in a folder.
    pub fn sync(&mut self, number: Number) -> Result<(), Errno> {
        match &mut self.node_mut(number)?.content {
            Content::File { durable, pending, .. } => {
                pending.drain(..).for_each(|change| change.apply(durable));
                return Ok(());
            }
            Content::Folder { entries, durable } => durable.clone_from(entries),
        }
        let pending = std::mem::take(&mut self.pending);
        self.pending = pending.into_iter().filter_map(|naming| naming.without(number)).collect();
        Ok(())
    }

    /// An fsync of it has failed.
    pub fn fail_sync(&mut self, number: Number) {
        match self.nodes.get_mut(&number).map(|node| &mut node.content) {
            Some(Content::File { pending, .. }) => pending.clear(),
            // Names stay in the cache of the folder, and are lost unless the folder is changed and fsynced again.
            Some(Content::Folder { .. }) | None => {}
        }
    }

    /// Writes all of it into an empty folder of another disk.
    pub fn export(&self, to: &Path) -> io::Result<()> {
        let mut open = vec![(ROOT, to.to_owned())];
        while let Some((number, path)) = open.pop() {
            match &self.nodes[&number].content {
                Content::File { bytes, .. } => fs::write(&path, bytes)?,
                Content::Folder { entries, .. } => {
                    fs::create_dir_all(&path)?;
                    open.extend(entries.iter().map(|(name, number)| (*number, path.join(name))));
                }
            }
        }
        Ok(())
    }

    /// Makes everything durable.
    pub fn settle(&mut self) {
        let numbers: Vec<Number> = self.nodes.keys().copied().collect();
        for number in numbers {
            let _ = self.sync(number);
        }
    }

    /// What is found when the power comes back. With a seed, anything that was not durable may have survived, each change
    /// by itself and writes in part; without, nothing of it has.
    pub fn survivors(&self, seed: Option<u64>) -> Self {
        let mut dice = seed.map(Dice::new);
        let mut image = self.clone();
        for node in image.nodes.values_mut() {
            match &mut node.content {
                Content::Folder { entries, durable } => entries.clone_from(durable),
                Content::File { bytes, durable, pending } => {
                    if let Some(dice) = &mut dice {
                        pending.iter().for_each(|change| change.apply_part(durable, dice));
                    }
                    bytes.clone_from(durable);
                    pending.clear();
                }
            }
        }
        let pending = std::mem::take(&mut image.pending);
        if let Some(dice) = &mut dice {
            pending.into_iter().filter(|_| dice.even()).for_each(|naming| image.rename_after_all(naming));
        }
        image.keep_reachable();
        image.settle();
        image
    }

    fn rename_after_all(&mut self, naming: Naming) {
        let mut set = |folder, name: OsString, number: Option<Number>| {
            if let Ok(names) = self.names_mut(folder) {
                match number {
                    Some(number) => names.insert(name, number),
                    None => names.remove(&name),
                };
            }
        };
        match naming {
            Naming::Name(folder, name, number) => set(folder, name, Some(number)),
            Naming::Forget(folder, name) => set(folder, name, None),
            Naming::Move { from, to, number } => {
                set(from.0, from.1, None);
                set(to.0, to.1, Some(number));
            }
        }
    }

    fn keep_reachable(&mut self) {
        let (mut seen, mut open) = (BTreeSet::from([ROOT]), vec![ROOT]);
        while let Some(number) = open.pop() {
            let names = self.names(number).map(|names| names.values().copied().collect::<Vec<_>>());
            open.extend(names.unwrap_or_default().into_iter().filter(|number| seen.insert(*number)));
        }
        self.nodes.retain(|number, _| seen.contains(number));
        let named = self.nodes.values().filter_map(|node| match &node.content {
            Content::Folder { entries, .. } => Some(entries.values().copied()),
            Content::File { .. } => None,
        });
        let mut links = BTreeMap::new();
        named.flatten().for_each(|number| *links.entry(number).or_insert(0) += 1);
        for (number, node) in &mut self.nodes {
            if matches!(node.content, Content::File { .. }) {
                node.links = links.get(number).copied().unwrap_or(0);
            }
        }
    }
}

impl Naming {
    /// What of it is not durable when the names in this folder are.
    fn without(self, folder: Number) -> Option<Self> {
        match self {
            Self::Name(at, ..) | Self::Forget(at, _) if at == folder => None,
            Self::Move { from, to, number } => match (from.0 == folder, to.0 == folder) {
                (true, true) => None,
                (true, false) => Some(Self::Name(to.0, to.1, number)),
                (false, true) => Some(Self::Forget(from.0, from.1)),
                (false, false) => Some(Self::Move { from, to, number }),
            },
            other => Some(other),
        }
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Size(size) => file.resize(*size, 0),
            Self::Write { at, bytes } => write(file, *at, bytes),
        }
    }

    /// Some of its sectors reach the disk, others do not.
    fn apply_part(&self, file: &mut Vec<u8>, dice: &mut Dice) {
        match self {
            Self::Size(_) => {
                if dice.even() {
                    self.apply(file);
                }
            }
            Self::Write { at, bytes } => {
                let (mut done, all) = (0, bytes.len());
                while done < all {
                    // Sectors are cut by their place on the disk, not by where the write began.
                    let length = (SECTOR - (at + done) % SECTOR).min(all - done);
                    if dice.even() {
                        write(file, at + done, &bytes[done..done + length]);
                    }
                    done += length;
                }
            }
        }
    }
}

fn write(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}
