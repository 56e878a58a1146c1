//! The shaku modules.
