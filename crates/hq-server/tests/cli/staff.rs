//! Who works at HQ, from the command line: for whoever has the database and lost a password.

use crate::database::Desk;
use crate::run::NOW;
use argon2::Argon2;
use argon2::password_hash::{PasswordVerifier, phc::PasswordHash};
use serde_json::{Value, json};
use sqlx::PgConnection;

/// The password in what was printed.
fn password(out: &str) -> String {
    let line = out.lines().find_map(|line| line.strip_prefix("  password  "));
    line.unwrap_or_else(|| panic!("there is no password in it: {out}")).to_owned()
}

/// Whether somebody signs in with a password.
async fn fits(connection: &mut PgConnection, id: &str, password: &str) -> bool {
    let kept: String = sqlx::query_scalar("SELECT password_hash FROM leasehold.sys_staff WHERE staff_id = $1")
        .bind(id)
        .fetch_one(connection)
        .await
        .unwrap();
    let kept = PasswordHash::new(&kept).unwrap();
    Argon2::default().verify_password(password.as_bytes(), &kept).is_ok()
}

#[tokio::test]
async fn somebody_is_added_gets_a_new_password_and_is_disabled() {
    let desk = Desk::new("staff").await;
    desk.does("db migrate");
    assert!(desk.does("db staff list").starts_with("nobody works at HQ yet"));
    let mut connection = desk.connection().await;

    let added = desk.does("db staff add cleo --role super_admin --by ada");
    assert!(added.starts_with("a new super_admin, shown this once\n  name      cleo\n"), "{added}");
    let first = password(&added);
    assert!(first.len() == 32 && fits(&mut connection, "cleo", &first).await, "{added}");
    desk.fails("db staff add cleo --role auditor --by ada", 3, "already_exists", "`leasehold db staff reset ID`");
    assert_eq!(desk.types("db staff add dan --role emperor").code, 2, "there is no such role");
    assert_eq!(desk.types("db staff add Dan --role auditor").code, 2, "nobody is called that");
    assert_eq!(desk.types("db staff add dan").code, 2, "as what?");
    let dan = desk.answers("db staff add dan --role auditor --by ada");
    assert_eq!((&dan["id"], &dan["role"], &dan["created_by"]), (&json!("dan"), &json!("auditor"), &json!("ada")));
    assert!(fits(&mut connection, "dan", dan["password"].as_str().unwrap()).await);

    // Another password is the only one, and whoever was signed in with the last one is not any more.
    sqlx::query(
        "INSERT INTO leasehold.sys_staff_sessions (secret_hash, staff_id, expires_at)
         VALUES (sha256('session'), 'cleo', now() + interval '1 hour')",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let reset = desk.does("db staff reset cleo --by ada");
    assert!(reset.starts_with("a new password, shown this once\n  name      cleo\n"), "{reset}");
    assert!(fits(&mut connection, "cleo", &password(&reset)).await);
    assert!(!fits(&mut connection, "cleo", &first).await);
    let sessions: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.sys_staff_sessions")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(sessions, 0);
    desk.fails("db staff reset nobody --by ada", 4, "not_found", "`nobody`");

    desk.fails("db staff disable cleo --by ada", 3, "invalid_argument", "no super_admin would be left");
    assert!(desk.does("db staff disable dan --by ada").starts_with("dan may do nothing any more"));
    assert!(desk.does("db staff reset dan --by ada").contains("disabled still: `leasehold db staff enable dan`"));
    let listed = desk.answers("db staff list");
    let disabled: Vec<&Value> = listed.as_array().unwrap().iter().map(|member| &member["disabled_at"]).collect();
    assert!(disabled[0].is_null() && disabled[1].is_string(), "{listed}");
    assert!(!listed.to_string().contains("password"), "{listed}");
    assert!(desk.does("db staff list").lines().nth(2).unwrap().trim_start().starts_with("dan "));
    assert_eq!(desk.does("db staff enable dan --by ada"), "dan may work as auditor again\n");
    desk.fails(&format!("db staff list --at {NOW}"), 2, "usage", "--at");

    let told: Vec<(String, String)> = sqlx::query_as(
        "SELECT actor, action FROM leasehold.sys_audit_log WHERE tenant_org_id = ''
             AND convert_from(body, 'UTF8')::jsonb ->> 'subject' = 'dan' ORDER BY seq",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let actions: Vec<&str> = told.iter().map(|(_, action)| action.as_str()).collect();
    assert_eq!(actions, ["staff.added", "staff.disabled", "staff.password_changed", "staff.enabled"]);
    assert!(told.iter().all(|(actor, _)| actor == "ada"));
}
