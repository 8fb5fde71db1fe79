//! The private cluster: what it says without Postgres, what it survives, and that nothing of it is left behind.

use crate::support;
use leasehold_postgres::cluster::{Cluster, Durability};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The example, which starts a cluster of its own below a folder.
fn private_cluster(below: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(support::example("private_cluster"));
    command.args(arguments).env("TMPDIR", below).env_remove("DATABASE_URL");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running cluster of another process, and where it is.
fn held(command: &mut Command) -> (Child, String) {
    let mut child = command.spawn().unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
    if url.is_empty() {
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        panic!("{said}");
    }
    (child, url.trim().to_owned())
}

/// A folder that whoever the server runs as can enter.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Waits until it holds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "in vain for a minute: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect_with(&url.parse::<PgConnectOptions>().unwrap()).await.unwrap()
}

async fn setting(connection: &mut PgConnection, name: &str) -> String {
    sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(connection).await.unwrap()
}

#[test]
fn without_postgres_it_names_the_package_and_leaves_nothing() {
    let (below, empty) = (folder(), folder());
    let mut command = private_cluster(below.path(), &[]);
    let output = command.env("LEASEHOLD_POSTGRES_BIN", empty.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("`apt-get install postgresql`") && said.contains("DATABASE_URL"), "{said}");
    assert!(entries(below.path()).is_empty(), "{:?}", entries(below.path()));
}

#[test]
fn a_postgres_that_is_too_old_is_named_by_its_version() {
    let (below, old) = (folder(), folder());
    for program in ["postgres", "initdb", "pg_ctl"] {
        let path = old.path().join(program);
        fs::write(&path, "#!/bin/sh\necho 'postgres (PostgreSQL) 13.4'\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = private_cluster(below.path(), &[]).env("LEASEHOLD_POSTGRES_BIN", old.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("(only 13)") && said.contains("15"), "{said}");
}

#[tokio::test]
async fn it_is_gone_once_its_process_has_ended() {
    let below = folder();
    let (mut child, url) = held(&mut private_cluster(below.path(), &[]));
    let mut connection = connect(&url).await;
    assert_eq!(setting(&mut connection, "fsync").await, "off");
    assert_eq!(entries(below.path()).len(), 1);
    // The example ends with its input.
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(entries(below.path()).is_empty(), "{:?}", entries(below.path()));
    assert!(connection.ping().await.is_err());
}

#[tokio::test]
async fn it_is_gone_once_its_process_was_killed() {
    let below = folder();
    let (mut child, url) = held(&mut private_cluster(below.path(), &[]));
    let mut connection = connect(&url).await;
    let server: i32 = {
        let file = entries(below.path())[0].join("data/postmaster.pid");
        fs::read_to_string(file).unwrap().lines().next().unwrap().parse().unwrap()
    };
    child.kill().unwrap();
    child.wait().unwrap();
    // The connection ends with the server: this waits for it.
    sqlx::query("SELECT pg_sleep(600)").execute(&mut connection).await.unwrap_err();
    until("the folder is removed", || entries(below.path()).is_empty()).await;
    until("the server has ended", || !Path::new(&format!("/proc/{server}")).exists()).await;
}

#[tokio::test]
async fn a_command_finds_the_server_and_its_status_is_passed_on() {
    let below = folder();
    let output =
        private_cluster(below.path(), &["--migrate", "sh", "-c", "echo \"$DATABASE_URL\"; exit 7"]).output().unwrap();
    let url = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(url.starts_with("postgresql://postgres@%2F"), "{url}");
    assert!(entries(below.path()).is_empty(), "{:?}", entries(below.path()));

    // A server that is named already is used.
    let mut command = private_cluster(below.path(), &["sh", "-c", "echo \"$DATABASE_URL\""]);
    let output = command.env("DATABASE_URL", "postgresql://elsewhere").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "postgresql://elsewhere\n");
}

/// The user `nobody`, as whom anybody can be run by root.
fn nobody() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("nobody:")).expect("there is a user `nobody`");
    let fields: Vec<&str> = line.split(':').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}

#[tokio::test]
async fn it_runs_as_somebody_without_privileges_whoever_starts_it() {
    let below = folder();
    // Where the build lies, not everybody may read.
    let program = below.path().join("private_cluster");
    fs::copy(support::example("private_cluster"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let starts = if is_root() { vec![None, Some(nobody())] } else { vec![None] };
    for user in starts {
        let clusters = folder();
        let mut command = Command::new(&program);
        command.env("TMPDIR", clusters.path()).env_remove("DATABASE_URL").current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some((uid, gid)) = user {
            command.uid(uid).gid(gid);
        }
        let (mut child, url) = held(&mut command);
        let mut connection = connect(&url).await;
        assert_eq!(setting(&mut connection, "listen_addresses").await, "", "nobody reaches it over the network");
        let data = setting(&mut connection, "data_directory").await;
        let owner = fs::metadata(&data).unwrap().uid();
        assert_ne!(owner, 0, "{data} belongs to root");
        if let Some((uid, _)) = user {
            assert_eq!(owner, uid);
        }
        let cluster = &entries(clusters.path())[0];
        assert_eq!(fs::metadata(cluster).unwrap().permissions().mode() & 0o777, 0o700);
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
        assert!(entries(clusters.path()).is_empty());
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[tokio::test]
async fn what_was_committed_outlives_a_crash_and_a_restart() {
    let folder = folder();
    let place = folder.path().join("a place");
    let cluster = Cluster::start_in(&place, Durability::Full).unwrap();
    let url = cluster.url("postgres");
    let mut connection = connect(&url).await;
    assert_eq!(setting(&mut connection, "fsync").await, "on");
    assert_eq!(setting(&mut connection, "synchronous_commit").await, "on");
    support::execute(&mut connection, "CREATE TABLE kept (n integer PRIMARY KEY)").await;
    support::execute(&mut connection, "INSERT INTO kept SELECT generate_series(1, 1000)").await;
    // What is not committed is not kept.
    let mut open = connect(&url).await;
    support::execute(&mut open, "BEGIN; INSERT INTO kept VALUES (1001)").await;

    cluster.crash().unwrap();
    assert!(connection.ping().await.is_err());
    cluster.resume(Durability::Full).unwrap();
    let kept = "SELECT count(*) FROM kept";
    let mut connection = connect(&url).await;
    assert_eq!(sqlx::query_scalar::<_, i64>(kept).fetch_one(&mut connection).await.unwrap(), 1000);

    cluster.restart(Durability::Full).unwrap();
    assert!(connection.ping().await.is_err());
    let mut connection = connect(&url).await;
    assert_eq!(sqlx::query_scalar::<_, i64>(kept).fetch_one(&mut connection).await.unwrap(), 1000);

    // The folder stays, and holds what it held.
    drop(cluster);
    let cluster = Cluster::start_in(&place, Durability::Full).unwrap();
    let mut connection = connect(&cluster.url("postgres")).await;
    assert_eq!(sqlx::query_scalar::<_, i64>(kept).fetch_one(&mut connection).await.unwrap(), 1000);
}

#[test]
fn a_server_that_does_not_start_says_why() {
    let folder = folder();
    // A path that is too long for a socket.
    let place = folder.path().join("x".repeat(120));
    let error = Cluster::start_in(&place, Durability::ProcessOnly).unwrap_err();
    assert_eq!(error.code(), "postgres_failed");
    assert!(error.to_string().contains("too long"), "{error}");
}

/// Whoever has the folder, and what they hold in it, stays as it is.
#[tokio::test]
async fn a_folder_in_which_a_server_is_running_is_refused() {
    let folder = folder();
    let place = folder.path().join("place");
    let cluster = Cluster::start_in(&place, Durability::ProcessOnly).unwrap();
    let mut connection = connect(&cluster.url("postgres")).await;
    let error = Cluster::start_in(&place, Durability::ProcessOnly).unwrap_err();
    assert_eq!(error.code(), "postgres_running");
    assert!(error.to_string().contains(place.to_str().unwrap()), "{error}");
    connection.ping().await.unwrap();

    // One that somebody started by hand: it goes on when we are refused, and when a cluster of ours that was stopped before
    // it ends.
    cluster.crash().unwrap();
    by_hand(&place, "start");
    assert_eq!(cluster.resume(Durability::ProcessOnly).unwrap_err().code(), "postgres_running");
    let mut connection = connect(&cluster.url("postgres")).await;
    drop(cluster);
    connection.ping().await.unwrap();
    assert_eq!(Cluster::start_in(&place, Durability::ProcessOnly).unwrap_err().code(), "postgres_running");
    connection.ping().await.unwrap();

    by_hand(&place, "stop");
    let cluster = Cluster::start_in(&place, Durability::ProcessOnly).unwrap();
    connect(&cluster.url("postgres")).await.ping().await.unwrap();
}

/// `pg_ctl`, of the server's version and as whom it belongs to.
fn by_hand(place: &Path, what: &str) {
    let owner = fs::metadata(place.join("data")).unwrap();
    let started = fs::read_to_string(place.join("data/postmaster.opts")).unwrap();
    let program = Path::new(started.split_whitespace().next().unwrap()).with_file_name("pg_ctl");
    let mut command = Command::new(program);
    command.args(["-D", "data", "-l", "log", "-o", "-c config_file=leasehold.conf", "-w", "-s", what]);
    command.current_dir(place).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if is_root() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    assert!(command.status().unwrap().success(), "{what}");
}

#[test]
fn a_folder_that_holds_something_else_is_refused_and_left_alone() {
    let folder = folder();
    let place = folder.path().join("mine");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("letters.txt"), "mine").unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    let before = fs::metadata(&place).unwrap();
    let error = Cluster::start_in(&place, Durability::ProcessOnly).unwrap_err();
    assert_eq!(error.code(), "postgres_foreign_folder");
    assert!(error.to_string().contains("name an empty folder"), "{error}");
    let after = fs::metadata(&place).unwrap();
    assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
    assert_eq!(entries(&place), [place.join("letters.txt")]);
}

#[tokio::test]
async fn a_folder_may_have_any_name() {
    let folder = folder();
    let place = folder.path().join("it's mine, \"b\", \\n$HOME `c` \u{645}");
    let cluster = Cluster::start_in(&place, Durability::ProcessOnly).unwrap();
    let mut connection = connect(&cluster.url("postgres")).await;
    assert_eq!(setting(&mut connection, "data_directory").await, place.join("data").to_str().unwrap());
    assert_eq!(setting(&mut connection, "fsync").await, "off");
}
