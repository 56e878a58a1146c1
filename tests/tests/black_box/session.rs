//! A session of an exchange, small: what `make demo` does at full size.

use anyhow::Result;
use axs_tests::deployment::Deployment;
use axs_tests::replay::SubmitPlan;
use axs_tests::session::{SessionPlan, generate};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_two_thousand_events_ends_as_the_model_says() -> Result<()> {
    let plan = SessionPlan {
        retail_accounts: 60,
        whale_accounts: 6,
        ..SessionPlan::new(2_000, 7)
    };
    let script = generate(plan);
    let deployment = Deployment::builder("session")
        .apis(2)
        .consumers(2)
        .start()
        .await?;
    deployment.furnish(&script).await?;
    let replayed = deployment.replay(&script, SubmitPlan::default()).await?;
    assert!(replayed.outcomes.applied > 1_000 && replayed.outcomes.rejected > 50);
    assert_eq!(deployment.database.dead_letters().await?, []);
    deployment.finish().await
}
