//! Tests of the plugin in a real pytest.

mod protection;
mod sessions;
mod support;
