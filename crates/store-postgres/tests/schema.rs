//! Migrations: there and back, from nothing and from what was there before.

mod support;

#[tokio::test]
async fn a_fresh_database_has_the_schema() {
    let database = support::database().await;
    let mut connection = database.admin.acquire().await.unwrap();
    leasehold_postgres::schema::check(&mut connection, leasehold_postgres::schema::Part::Hq).await.unwrap();
}
