//! AXS.
