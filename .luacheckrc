std = "luajit"
max_line_length = 100
max_cyclomatic_complexity = 12

-- What the program gives to a script; lua/README.md describes it.
files["scripts"] = { read_globals = { "nsnet" } }
files["examples"] = { read_globals = { "nsnet" } }
files["spec"] = { std = "+busted", read_globals = { "nsnet" } }
files["lua/nsnet"] = { read_globals = { "nsnet" } }
files["lua/editor/*.d.lua"] = { ignore = { ".*" } }
files["lua/editor/luacheckrc.lua"] = { globals = { "stds", "std", "exclude_files" } }
