//! Layer 1 of 5: settings, read and checked before the graph is built.

use crate::settings::Settings;
use axs_domain::id::OwnerId;
use shaku::{Component, Interface, module};
use uuid::Uuid;

/// Gives the settings and the identity of this run of the process.
pub trait ProcessConfig: Interface {
    /// The settings, all layers merged and checked.
    fn settings(&self) -> &Settings;

    /// The random id of this run. Leases are held under it; a restart never shares it.
    fn owner(&self) -> OwnerId;
}

/// The settings as they were loaded.
#[derive(Component)]
#[shaku(interface = ProcessConfig)]
pub struct LoadedConfig {
    #[shaku(default = unreachable!("the settings are loaded before the container is built"))]
    settings: Settings,
    #[shaku(default = unreachable!("the owner's id is drawn before the container is built"))]
    owner: OwnerId,
}

impl ProcessConfig for LoadedConfig {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn owner(&self) -> OwnerId {
        self.owner
    }
}

module! {
    pub ConfigModule {
        components = [#[lazy] LoadedConfig],
        providers = []
    }
}

/// The module over loaded settings.
pub fn config_module(settings: Settings) -> ConfigModule {
    let owner = OwnerId::new(Uuid::new_v4());
    ConfigModule::builder()
        .with_component_parameters::<LoadedConfig>(LoadedConfigParameters { settings, owner })
        .build()
}
