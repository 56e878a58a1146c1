//! The layout: one row.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "layout")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub only_row: bool,
    pub epoch: i32,
    pub partition_count: i32,
    pub events_topic: String,
    pub results_topic: Option<String>,
    pub cluster_id: Option<String>,
    pub grown_partition_count: Option<i32>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
