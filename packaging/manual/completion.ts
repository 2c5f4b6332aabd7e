/**
 * Completion for bash, zsh and fish, out of the command line's own definitions. Packaging. Pure. All three offer the same:
 * subcommands, options, choices, and files where a file or directory is expected.
 */
import { allCommands, type CommandEntry, type OptionEntry } from "./command-tree.ts";

const HELP: OptionEntry = {
  flags: "-h, --help",
  names: ["-h", "--help"],
  value: null,
  choices: [],
  description: "display help for command",
  mandatory: false,
  byDefault: null,
  variable: null,
};

type Kind = "files" | "directories" | "text";

function kindOf(name: string | null): Kind {
  if (name === "directory") return "directories";
  return name !== null && /^(?:file|a|b)$/.test(name) ? "files" : "text";
}

function optionsOf({ options }: CommandEntry): readonly OptionEntry[] {
  return options.some(({ names }) => names.includes("--help")) ? options : [...options, HELP];
}

function takesFiles({ arguments: given }: CommandEntry): boolean {
  return given.some(({ name }) => kindOf(name) === "files");
}

// bash -----------------------------------------------------------------------------------------------------------------

export function bashCompletion(root: CommandEntry): string {
  const all = allCommands(root);
  const known = all.slice(1).map(({ path }) => `"${path.join(" ")}"`);
  return `# bash completion for sluice, made from its command line
_sluice() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command=sluice word
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$command $word" in
      ${known.join(" | ")}) command="$command $word" ;;
    esac
  done
  case "$command $prev" in
${all.flatMap((command) => optionsOf(command).flatMap((option) => bashValue(command, option))).join("\n")}
  esac
  case "$command" in
${all.map(bashWords).join("\n")}
  esac
}
complete -F _sluice sluice
`;
}

/** What follows an option that takes a value. */
function bashValue({ path }: CommandEntry, { names, value, choices }: OptionEntry): readonly string[] {
  if (value === null) return [];
  const patterns = names.map((name) => `"${path.join(" ")} ${name}"`).join(" | ");
  const words: Readonly<Record<Kind, string>> = {
    files: "compopt -o default",
    directories: 'mapfile -t COMPREPLY < <(compgen -d -- "$cur"); compopt -o filenames',
    text: choices.length > 0 ? `mapfile -t COMPREPLY < <(compgen -W "${choices.join(" ")}" -- "$cur")` : ":",
  };
  return [`    ${patterns}) ${words[kindOf(value)]}; return ;;`];
}

function bashWords(command: CommandEntry): string {
  const names = optionsOf(command).flatMap((option) => option.names);
  const words = [...command.commands.map(({ path }) => path.at(-1)), ...names].join(" ");
  const files = takesFiles(command) ? "; [[ $cur == -* ]] || compopt -o default" : "";
  return `    "${command.path.join(" ")}") mapfile -t COMPREPLY < <(compgen -W "${words}" -- "$cur")${files} ;;`;
}

// zsh ------------------------------------------------------------------------------------------------------------------

export function zshCompletion(root: CommandEntry): string {
  const functions = allCommands(root).map(zshFunction);
  return `#compdef sluice\n# zsh completion for sluice, made from its command line\n\n${functions.join("\n")}\n_sluice "$@"\n`;
}

function zshFunction(command: CommandEntry): string {
  const options = optionsOf(command).map((option) => `    ${zshOption(option)}`);
  if (command.commands.length === 0) {
    // Operands that are no files are not mentioned: zsh would list the option that it found, and not insert it.
    const specs = [...options, ...(takesFiles(command) ? ["    '*:file:_files'"] : [])];
    return `${zshName(command)}() {\n  _arguments \\\n${specs.join(" \\\n")}\n}\n`;
  }
  const names = command.commands.map(({ path, description }) => `      ${zshText(`${path.at(-1)}:${description}`)}\n`);
  const calls = command.commands.map((below) => `        ${below.path.at(-1)}) ${zshName(below)} ;;\n`);
  return `${zshName(command)}() {
  local curcontext=$curcontext state line
  local -a commands
  _arguments -C \\
${options.join(" \\\n")} \\
    '1: :->command' '*:: :->argument'
  case $state in
    command)
      commands=(
${names.join("")}      )
      _describe -t commands command commands ;;
    argument)
      case $line[1] in
${calls.join("")}      esac ;;
  esac
}
`;
}

function zshName({ path }: CommandEntry): string {
  return `_${path.join("_")}`;
}

function zshText(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function zshOption({ names, value, choices, description }: OptionEntry): string {
  const actions: Readonly<Record<Kind, string>> = {
    files: "_files",
    directories: "_files -/",
    text: choices.length > 0 ? `(${choices.join(" ")})` : " ",
  };
  const action = value === null ? "" : `:${value}:${actions[kindOf(value)]}`;
  const text = `[${description.replaceAll("[", "\\[").replaceAll("]", "\\]")}]${action.replaceAll("...", "")}`;
  const spelled = names.length > 1 ? `'(${names.join(" ")})'{${names.join(",")}}` : names.join("");
  return `${spelled}${zshText(text)}`;
}

// fish -----------------------------------------------------------------------------------------------------------------

export function fishCompletion(root: CommandEntry): string {
  const lines = allCommands(root).flatMap((command) => [
    ...command.commands.map((below) => fishCommand(command, below)),
    ...optionsOf(command).map((option) => fishOption(command, option)),
    ...(takesFiles(command) ? [`complete -c sluice -n ${fishCondition(command)} -F`] : []),
  ]);
  return `# fish completion for sluice, made from its command line\ncomplete -c sluice -f\n${lines.join("\n")}\n`;
}

/** Within `command` and none of what is below it. */
function fishCondition({ path, commands }: CommandEntry): string {
  const inside = path.slice(1).map((name) => `__fish_seen_subcommand_from ${name}`);
  const below = commands.map((command) => command.path.at(-1)).join(" ");
  const conditions = [...inside, ...(below === "" ? [] : [`not __fish_seen_subcommand_from ${below}`])];
  return `'${conditions.join("; and ")}'`;
}

function fishText(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

function fishCommand(above: CommandEntry, { path, description }: CommandEntry): string {
  return `complete -c sluice -n ${fishCondition(above)} -a ${path.at(-1)} -d ${fishText(description)}`;
}

function fishOption(command: CommandEntry, { names, value, choices, description }: OptionEntry): string {
  const spelled = names
    .map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`))
    .join(" ");
  const actions: Readonly<Record<Kind, string>> = {
    files: " -r -F",
    directories: " -x -a '(__fish_complete_directories)'",
    text: choices.length > 0 ? ` -x -a '${choices.join(" ")}'` : " -x",
  };
  const action = value === null ? "" : actions[kindOf(value)];
  return `complete -c sluice -n ${fishCondition(command)} ${spelled}${action} -d ${fishText(description)}`;
}
