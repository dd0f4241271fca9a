-- SPDX-License-Identifier: MIT
-- completion - writes completions for bash, zsh and fish from what nsnet-host --help prints.
--
--     luajit core/completion.lua bash|zsh|fish < help > file
--
-- The help is made from the program's one table of options, so nothing here knows an option.

local shell = arg[1]

-- Reads the help: options in their order, subcommands in theirs.
local function read_help(lines)
  local options, subcommands = {}, {}
  for line in lines do
    local letter, name, rest = line:match("^  %-(%a), %-%-([%w-]+)(.*)")
    if not name then
      name, rest = line:match("^      %-%-([%w-]+)(.*)")
    end
    if name then
      local value, text = rest:match("^ (%S+)%s+(.*)")
      if rest:match("^  ") or not value then
        value, text = nil, rest:match("^%s*(.*)")
      end
      options[#options + 1] =
        { letter = letter, name = name, value = value, text = text }
    end
    local word = line:match("^       nsnet%-host (%l[%w-]*)")
    if word then subcommands[#subcommands + 1] = word end
  end
  assert(#options > 0 and #subcommands > 0, "this is not the help of nsnet-host")
  return options, subcommands
end

-- What a value can be: "file", "directory", a list of words, or nothing that a shell could know.
local function kind_of(option)
  if not option.value then return nil end
  if option.value:match("^FILE") or option.value:match("^PATH") then return "file" end
  if option.name == "default" then return { "allow", "deny" } end
  return "none"
end

local function spelled(option, between)
  return (option.letter and "-" .. option.letter .. between or "") .. "--" .. option.name
end

local function select_options(options, accept)
  local chosen = {}
  for _, o in ipairs(options) do
    if accept(kind_of(o)) then chosen[#chosen + 1] = spelled(o, "|") end
  end
  return table.concat(chosen, "|")
end

local function bash(options, subcommands)
  local all = {}
  for _, o in ipairs(options) do all[#all + 1] = spelled(o, " ") end
  local file = select_options(options, function(k) return k == "file" end)
  local free = select_options(options, function(k) return k == "none" end)
  local out = { [[
# bash completion for nsnet-host
_nsnet_host()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i

    # The first word that is neither an option nor its value begins the command.
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --) _nsnet_host_command $((i + 1)); return ;;
        ]] .. select_options(options, function(k) return k ~= nil end) .. [[) ((i++)) ;;
        -*) ;;
        ]] .. table.concat(subcommands, "|") .. [[) break ;;
        *) _nsnet_host_command "$i"; return ;;
        esac
    done
    case $prev in
    ]] .. file .. [[) COMPREPLY=($(compgen -f -- "$cur")); return ;;
]] }
  for _, o in ipairs(options) do
    local words = kind_of(o)
    if type(words) == "table" then
      out[#out + 1] = ("\t%s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n"):format(
        spelled(o, "|"), table.concat(words, " "))
    end
  end
  out[#out + 1] = "\t" .. free .. [[) return ;;
    esac
    if [[ $cur == -* ]] .. "]]" .. [[; then
        COMPREPLY=($(compgen -W ']] .. table.concat(all, " ") .. [[' -- "$cur"))
    elif ((i == COMP_CWORD)); then
        COMPREPLY=($(compgen -W ']] .. table.concat(subcommands, " ") .. [[' -- "$cur"))
        COMPREPLY+=($(compgen -c -- "$cur"))
    else
        COMPREPLY=($(compgen -f -- "$cur"))
    fi
}

# Completes word $1 and what follows as a command of its own.
_nsnet_host_command()
{
    if declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif (($1 == COMP_CWORD)); then
        COMPREPLY=($(compgen -c -- "${COMP_WORDS[COMP_CWORD]}"))
    else
        COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
    fi
}
complete -o filenames -F _nsnet_host nsnet-host
]]
  return table.concat(out)
end

local function zsh(options, subcommands)
  local out = { "#compdef nsnet-host\n# zsh completion for nsnet-host\n_arguments -s -S \\\n" }
  for _, o in ipairs(options) do
    local text = o.text:gsub("[%[%]:\\]", "\\%0"):gsub("'", "'\\''")
    local kind, action = kind_of(o), ""
    if kind == "file" then
      action = ":file:_files"
    elseif type(kind) == "table" then
      action = ":" .. o.value:lower() .. ":(" .. table.concat(kind, " ") .. ")"
    elseif kind then
      action = ":" .. o.value:gsub(":", "\\:") .. ": "
    end
    if o.letter then
      out[#out + 1] = ("\t'*-%s[%s]%s' \\\n"):format(o.letter, text, action)
    end
    out[#out + 1] = ("\t'*--%s%s[%s]%s' \\\n"):format(o.name, kind and "=" or "", text, action)
  end
  out[#out + 1] = "\t'1: :{_alternative \"subcommands:subcommand:(" ..
    table.concat(subcommands, " ") .. ")\" \"commands:command:_command_names -e\"}' \\\n"
  out[#out + 1] = "\t'*:: :_normal'\n"
  return table.concat(out)
end

local function fish(options, subcommands)
  local out = { [[
# fish completion for nsnet-host
function __nsnet_host_before_command
    set -l words (commandline -opc)
    not string match -qr -- '^[^-]' $words[2..-1]
end
complete -c nsnet-host -n __nsnet_host_before_command -f -a ']] ..
    table.concat(subcommands, " ") .. [['
complete -c nsnet-host -x -a '(__fish_complete_subcommand)'
]] }
  for _, o in ipairs(options) do
    local kind = kind_of(o)
    local more = ""
    if kind == "file" then
      more = " -r -F"
    elseif type(kind) == "table" then
      more = " -x -a '" .. table.concat(kind, " ") .. "'"
    elseif kind then
      more = " -x"
    end
    out[#out + 1] = ("complete -c nsnet-host -n __nsnet_host_before_command%s -l %s%s -d '%s'\n")
      :format(o.letter and " -s " .. o.letter or "", o.name, more,
        (o.text:gsub("[\\']", "\\%0")))
  end
  return table.concat(out)
end

local write = ({ bash = bash, zsh = zsh, fish = fish })[shell]
if not write then
  io.stderr:write("usage: completion.lua bash|zsh|fish < help\n")
  os.exit(2)
end
io.write(write(read_help(io.lines())))
