//! Placeholder.
use mlua::{Lua, Table};

pub(super) fn functions(lua: &Lua) -> mlua::Result<Table> {
    lua.create_table()
}
