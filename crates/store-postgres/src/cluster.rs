//! A private Postgres cluster in a folder, for demos and tests: found on this machine, started on a unix socket, stopped
//! when it is dropped.

use crate::schema::OLDEST_SERVER;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, chown, fchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Whether what was committed outlives a crash of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As in production: every commit waits for the disk.
    Full,
    /// For tests: nothing waits for the disk. A crash of the machine may lose everything, one of a process nothing.
    ProcessOnly,
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// There is no Postgres on this machine.
    #[error(
        "no Postgres of version {OLDEST_SERVER} or newer was found{}; install the package `postgresql` \
         (Debian: `apt-get install postgresql`), or set DATABASE_URL",
        found_text(found)
    )]
    NotInstalled {
        /// Versions that are too old.
        found: Vec<u32>,
    },
    /// This is run by root, and there is no user that Postgres could run as.
    #[error("Postgres does not run as root, and there is no user `postgres` or `nobody` to run it as")]
    NoUser,
    /// A program of Postgres failed.
    #[error("`{program}` failed: {said}")]
    Failed {
        /// Which one.
        program: String,
        /// What it said.
        said: String,
    },
    /// A server is running in the folder, of whomever.
    #[error("a server is running in `{}` already; stop it, or name another folder", folder.display())]
    Running {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder holds something, and no cluster that was made here.
    #[error("`{}` holds something that is not a private cluster; name an empty folder, or a new one", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder cannot be used.
    #[error("{0}")]
    Folder(#[from] io::Error),
}

impl ClusterError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotInstalled { .. } => "postgres_not_installed",
            Self::NoUser => "postgres_no_user",
            Self::Failed { .. } => "postgres_failed",
            Self::Running { .. } => "postgres_running",
            Self::Foreign { .. } => "postgres_foreign_folder",
            Self::Folder(_) => "postgres_folder",
        }
    }
}

fn found_text(found: &[u32]) -> String {
    let versions: Vec<String> = found.iter().map(ToString::to_string).collect();
    if versions.is_empty() { String::new() } else { format!(" (only {})", versions.join(", ")) }
}

/// A running cluster. It stops when this is dropped, and when the process ends, however it ends; a temporary folder goes
/// with it.
#[derive(Debug)]
pub struct Cluster {
    bin: PathBuf,
    folder: PathBuf,
    user: Option<User>,
    watchdog: Watchdog,
}

#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

/// A shell that outlives us: it stops the server when its input ends, as it does with this process.
#[derive(Debug)]
struct Watchdog {
    shell: Child,
    /// A folder that goes too.
    removed: Option<PathBuf>,
}

/// What the server is set to. Its being there tells a cluster that was made here from other folders, and a lock on it who
/// has the cluster.
const SETTINGS: &str = "leasehold.conf";

/// What becomes of the folder in the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Keep,
    Remove,
}

impl Cluster {
    /// Starts a new cluster in a temporary folder.
    ///
    /// # Errors
    /// [`ClusterError`], with what to install where there is no Postgres.
    pub fn start(durability: Durability) -> Result<Self, ClusterError> {
        let bin = find()?;
        let temporary = tempfile::Builder::new().prefix("leasehold-postgres-").tempdir()?;
        let cluster = Self::prepare(bin, temporary.path().to_owned(), End::Remove)?;
        // From here on it is the watchdog that removes it.
        let _ = temporary.keep();
        cluster.up(durability)?;
        Ok(cluster)
    }

    /// Starts the cluster in a folder, and makes it first where there is none. The folder stays.
    ///
    /// # Errors
    /// As [`start`](Self::start); [`ClusterError::Running`] where a server is running there, [`ClusterError::Foreign`] where
    /// the folder holds something else. Either is left as it is.
    pub fn start_in(folder: &Path, durability: Durability) -> Result<Self, ClusterError> {
        let bin = find()?;
        fs::create_dir_all(folder)?;
        let cluster = Self::prepare(bin, folder.canonicalize()?, End::Keep)?;
        cluster.up(durability)?;
        Ok(cluster)
    }

    /// Takes a folder, when nobody else has it.
    fn prepare(bin: PathBuf, folder: PathBuf, end: End) -> Result<Self, ClusterError> {
        let user = if is_root() { Some(unprivileged().ok_or(ClusterError::NoUser)?) } else { None };
        let settings = folder.join(SETTINGS);
        if !fs::symlink_metadata(&settings).is_ok_and(|found| found.is_file()) {
            if fs::read_dir(&folder)?.next().is_some() {
                return Err(ClusterError::Foreign { folder });
            }
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
            if let Some(User { uid, gid }) = user {
                chown(&folder, Some(uid), Some(gid))?;
            }
        }
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&settings)?;
        if let Some(User { uid, gid }) = user {
            fchown(&file, Some(uid), Some(gid))?;
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ClusterError::Running { folder }),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let watchdog = Watchdog::spawn(&bin, &folder, user, end, file)?;
        Ok(Self { bin, folder, user, watchdog })
    }

    fn up(&self, durability: Durability) -> Result<(), ClusterError> {
        // Only we start one here, or somebody by hand.
        if run(self.program("pg_ctl").args(["-D", "data", "status"])).is_ok() {
            return Err(ClusterError::Running { folder: self.folder.clone() });
        }
        if !self.folder.join("data/PG_VERSION").exists() {
            let mut initdb = self.program("initdb");
            run(initdb.args(["-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]))?;
        }
        fs::write(self.folder.join(SETTINGS), settings(&self.folder, durability))?;
        // These go through a shell, unquoted: from the folder there is nothing in them to quote.
        let options = format!("-c config_file={SETTINGS}");
        let mut start = self.program("pg_ctl");
        start.args(["-D", "data", "-l", "log", "-o", &options, "-w", "-s", "start"]);
        self.watchdog.say("up")?;
        run(&mut start).map_err(|error| match error {
            // `pg_ctl` only says where the server has said why.
            ClusterError::Failed { program, said } => {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(5).collect();
                let last: Vec<&str> = last.into_iter().rev().collect();
                ClusterError::Failed { program, said: format!("{said}\n{}", last.join("\n")) }
            }
            error => error,
        })
    }

    /// Where to connect, for a database of the cluster, as its superuser `postgres`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_as("postgres", database)
    }

    /// Where to connect as somebody else.
    #[must_use]
    pub fn url_as(&self, user: &str, database: &str) -> String {
        let mut folder = String::new();
        for byte in self.folder.as_os_str().as_encoded_bytes() {
            let plain = byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
            folder.push_str(&if plain { char::from(*byte).to_string() } else { format!("%{byte:02X}") });
        }
        format!("postgresql://{user}@{folder}/{database}")
    }

    /// Stops the server and starts it again; connections are lost.
    ///
    /// # Errors
    /// [`ClusterError::Failed`].
    pub fn restart(&self, durability: Durability) -> Result<(), ClusterError> {
        self.stop("fast")?;
        self.up(durability)
    }

    /// Stops the server as a crash would: nothing is finished, and the next start recovers.
    ///
    /// # Errors
    /// [`ClusterError::Failed`].
    pub fn crash(&self) -> Result<(), ClusterError> {
        self.stop("immediate")
    }

    /// Starts the server after it was stopped.
    ///
    /// # Errors
    /// [`ClusterError::Failed`].
    pub fn resume(&self, durability: Durability) -> Result<(), ClusterError> {
        self.up(durability)
    }

    fn stop(&self, how: &str) -> Result<(), ClusterError> {
        run(self.program("pg_ctl").args(["-D", "data", "-m", how, "-w", "-s", "stop"]))?;
        Ok(self.watchdog.say("down")?)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.current_dir(&self.folder).env_remove("PGDATA").stdin(Stdio::null());
        if let Some(User { uid, gid }) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Watchdog {
    /// Takes the lock of the folder along: nobody else has the folder before the server has stopped.
    fn spawn(bin: &Path, folder: &Path, user: Option<User>, end: End, lock: File) -> io::Result<Self> {
        // It stops what it was told is up, and no other server that may be there.
        let script = "how=immediate; up=
            while read -r word; do
                case $word in up) up=1;; down) up=;; end) how=fast;; esac
            done
            [ -z \"$up\" ] || \"$1/pg_ctl\" -D \"$2/data\" -m $how -w -s stop 2>/dev/null >/dev/null
            [ \"$3\" = keep ] || rm -rf \"$2\"";
        let mut watchdog = Command::new("sh");
        watchdog.args(["-c", script, "sh"]).arg(bin).arg(folder);
        watchdog.arg(if end == End::Remove { "remove" } else { "keep" });
        // What interrupts us must not interrupt it.
        watchdog.process_group(0).stdin(Stdio::piped()).stdout(lock).stderr(Stdio::null());
        if let Some(User { uid, gid }) = user {
            watchdog.uid(uid).gid(gid);
        }
        let removed = (end == End::Remove).then(|| folder.to_owned());
        Ok(Self { shell: watchdog.current_dir("/").spawn()?, removed })
    }

    fn say(&self, word: &str) -> io::Result<()> {
        let mut input = self.shell.stdin.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        input.write_all(format!("{word}\n").as_bytes())
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // What cannot be stopped, it cannot tell us.
        let _ = self.say("end");
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        if let Some(folder) = &self.removed {
            // It may lie where only we may remove something.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// The settings of a server that is reached by its socket alone.
fn settings(folder: &Path, durability: Durability) -> Vec<u8> {
    let mut settings = b"# Written at every start.\ninclude 'data/postgresql.conf'\nlisten_addresses = ''\n\
        max_connections = 200\n"
        .to_vec();
    if durability == Durability::ProcessOnly {
        settings.extend(b"fsync = off\nfull_page_writes = off\n");
    }
    // A list of folders in double quotes, within a text in single ones.
    settings.extend(b"unix_socket_directories = '\"");
    for byte in folder.as_os_str().as_encoded_bytes() {
        match byte {
            b'"' => settings.extend(b"\"\""),
            b'\'' => settings.extend(b"''"),
            b'\\' => settings.extend(b"\\\\"),
            b'\n' => settings.extend(b"\\n"),
            other => settings.push(*other),
        }
    }
    settings.extend(b"\"'\n");
    settings
}

fn run(command: &mut Command) -> Result<(), ClusterError> {
    let program = command.get_program().to_string_lossy().into_owned();
    // The server keeps what it inherits open: its output goes to a file of its own.
    let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let failed = |said: String| ClusterError::Failed { program: program.clone(), said };
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// The folder of the newest Postgres on this machine, of those that are new enough. `LEASEHOLD_POSTGRES_BIN` names another
/// one.
fn find() -> Result<PathBuf, ClusterError> {
    let named = std::env::var_os("LEASEHOLD_POSTGRES_BIN").map(PathBuf::from);
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let versions = |parent: &str, below: &str| {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        entries.map(|entry| entry.path().join(below)).collect::<Vec<_>>()
    };
    // Debian's, Red Hat's, Homebrew's.
    let packaged =
        [versions("/usr/lib/postgresql", "bin"), versions("/usr", "bin"), versions("/opt/homebrew/opt", "bin")];
    let folders = match named {
        Some(named) => vec![named],
        None => on_path.into_iter().flatten().chain(packaged.into_iter().flatten()).collect(),
    };
    let mut found: Vec<(u32, PathBuf)> = folders.into_iter().filter_map(|bin| Some((version(&bin)?, bin))).collect();
    found.sort();
    match found.pop() {
        Some((newest, bin)) if newest >= OLDEST_SERVER => Ok(bin),
        newest => {
            let all = found.into_iter().chain(newest).map(|(version, _)| version);
            Err(ClusterError::NotInstalled { found: all.collect() })
        }
    }
}

/// The major version of the Postgres whose programs lie in a folder; nothing where one of them is missing.
fn version(bin: &Path) -> Option<u32> {
    if !["initdb", "pg_ctl"].iter().all(|program| bin.join(program).exists()) {
        return None;
    }
    let output = Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let digits = text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    digits.split(|other: char| !other.is_ascii_digit()).next()?.parse().ok()
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1));
    uid == Some("0")
}

/// A user without privileges that a server can run as.
fn unprivileged() -> Option<User> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    ["postgres", "nobody"].into_iter().find_map(|wanted| {
        users.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, ..] = fields[..] else { return None };
            (name == wanted).then_some(User { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
        })
    })
}
