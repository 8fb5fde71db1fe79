//! A private Postgres cluster in a folder, for demos and tests: found on this machine, started on a unix socket, stopped
//! when it is dropped.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The oldest major version that the schema works on.
pub const OLDEST: u32 = 15;

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
        "no Postgres of version {OLDEST} or newer was found{}; install the package `postgresql` \
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
    temporary: bool,
    /// Stops the server when its input ends, as it does with this process.
    watchdog: Option<Child>,
}

#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

impl Cluster {
    /// Starts a new cluster in a temporary folder.
    ///
    /// # Errors
    /// [`ClusterError`], with what to install where there is no Postgres.
    pub fn start(durability: Durability) -> Result<Self, ClusterError> {
        let temporary = tempfile::Builder::new().prefix("leasehold-postgres-").tempdir()?;
        let mut cluster = Self::prepare(temporary.keep())?;
        cluster.temporary = true;
        cluster.begin(durability)?;
        Ok(cluster)
    }

    /// Starts the cluster in a folder, and makes it first where there is none. The folder stays.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_in(folder: &Path, durability: Durability) -> Result<Self, ClusterError> {
        fs::create_dir_all(folder)?;
        let mut cluster = Self::prepare(folder.canonicalize()?)?;
        cluster.begin(durability)?;
        Ok(cluster)
    }

    fn begin(&mut self, durability: Durability) -> Result<(), ClusterError> {
        // Only the shell outlives us: it waits for the end of its input, which we hold open.
        let script = "cat >/dev/null; \"$1/pg_ctl\" -D \"$2/data\" -m immediate -s stop 2>/dev/null; \
                      [ \"$3\" = keep ] || rm -rf \"$2\"";
        let mut watchdog = Command::new("sh");
        watchdog.args(["-c", script, "sh"]).arg(&self.bin).arg(&self.folder);
        watchdog.arg(if self.temporary { "remove" } else { "keep" });
        // What interrupts us must not interrupt it.
        watchdog.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(User { uid, gid }) = self.user {
            watchdog.uid(uid).gid(gid);
        }
        self.watchdog = Some(watchdog.current_dir("/").spawn()?);
        self.up(durability)
    }

    fn prepare(folder: PathBuf) -> Result<Self, ClusterError> {
        let bin = find()?;
        let user = if is_root() { Some(unprivileged().ok_or(ClusterError::NoUser)?) } else { None };
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        if let Some(User { uid, gid }) = user {
            chown(&folder, Some(uid), Some(gid))?;
        }
        Ok(Self { bin, folder, user, temporary: false, watchdog: None })
    }

    fn up(&self, durability: Durability) -> Result<(), ClusterError> {
        let data = self.folder.join("data");
        if !data.join("PG_VERSION").exists() {
            let mut initdb = self.program("initdb");
            initdb.arg("-D").arg(&data).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]);
            run(&mut initdb)?;
        }
        let mut options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c max_connections=200",
            self.folder.display()
        );
        if durability == Durability::ProcessOnly {
            options.push_str(" -c fsync=off -c synchronous_commit=off -c full_page_writes=off");
        }
        let mut start = self.program("pg_ctl");
        start.arg("-D").arg(&data).arg("-l").arg(self.folder.join("log")).args(["-o", &options, "-w", "-s", "start"]);
        run(&mut start)
    }

    /// Where to connect, for a database of the cluster, as its superuser `postgres`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_as("postgres", database)
    }

    /// Where to connect as somebody else.
    #[must_use]
    pub fn url_as(&self, user: &str, database: &str) -> String {
        let folder = self.folder.display().to_string().replace('/', "%2F");
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
        let mut stop = self.program("pg_ctl");
        run(stop.arg("-D").arg(self.folder.join("data")).args(["-m", how, "-w", "-s", "stop"]))
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

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may have been stopped already; and what cannot be stopped is left to the watchdog, which cannot tell us.
        let _ = self.stop("fast");
        if let Some(mut watchdog) = self.watchdog.take() {
            drop(watchdog.stdin.take());
            let _ = watchdog.wait();
        }
        if self.temporary {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
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
        Some((newest, bin)) if newest >= OLDEST => Ok(bin),
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
