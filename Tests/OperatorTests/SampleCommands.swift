@testable import Operator

/// A part of the command language, as the parser of the command line describes itself.
enum SampleCommands {
    static let index = CommandIndex(json: text) ?? CommandIndex()

    static let text = #"""
        {"serializationVersion": 0, "command": {"commandName": "distric", "abstract": "A cluster engine.", "shouldDisplay": true,
         "subcommands": [
          {"commandName": "status", "abstract": "The cluster at a glance.", "shouldDisplay": true, "arguments": [
            {"kind": "option", "names": [{"kind": "short", "name": "o"}, {"kind": "long", "name": "output"}], "valueName": "output",
             "abstract": "How to print.", "allValues": ["table", "json", "jsonl"], "shouldDisplay": true}]},
          {"commandName": "raft", "abstract": "Roles, terms, logs.", "subcommands": [
            {"commandName": "status", "abstract": "Each coordinator."},
            {"commandName": "add", "abstract": "Take a node in.", "arguments": [{"kind": "positional", "valueName": "id"}]},
            {"commandName": "remove", "abstract": "Take a member out.", "arguments": [{"kind": "positional", "valueName": "id"}]},
            {"commandName": "promote", "abstract": "Let a learner vote.", "arguments": [{"kind": "positional", "valueName": "id"}]},
            {"commandName": "transfer", "abstract": "Let another lead.", "arguments": [
              {"kind": "option", "names": [{"kind": "long", "name": "to"}], "valueName": "to", "abstract": "Who is to lead."},
              {"kind": "option", "names": [{"kind": "long", "name": "connect"}], "valueName": "connect", "abstract": "A node."}]}]},
          {"commandName": "runs", "abstract": "Runs of workflows.", "subcommands": [
            {"commandName": "list", "abstract": "Runs, newest first.", "arguments": [
              {"kind": "option", "names": [{"kind": "long", "name": "limit"}], "valueName": "limit", "abstract": "How many at most."},
              {"kind": "option", "names": [{"kind": "short", "name": "o"}, {"kind": "long", "name": "output"}], "valueName": "output",
               "abstract": "How to print.", "allValues": ["table", "json", "jsonl"]},
              {"kind": "flag", "names": [{"kind": "long", "name": "open"}], "abstract": "Only open ones."},
              {"kind": "flag", "names": [{"kind": "long", "name": "secret"}], "abstract": "Not shown.", "shouldDisplay": false}]},
            {"commandName": "show", "abstract": "One run.", "arguments": [{"kind": "positional", "valueName": "id"}]},
            {"commandName": "cancel", "abstract": "Cancel an open run.", "arguments": [{"kind": "positional", "valueName": "id"}]},
            {"commandName": "retry", "abstract": "Begin again.", "arguments": [{"kind": "positional", "valueName": "id"}]}]},
          {"commandName": "tasks", "abstract": "Tasks of runs.", "subcommands": [
            {"commandName": "list", "abstract": "Tasks."},
            {"commandName": "resolve", "abstract": "Say what became of a task.", "arguments": [
              {"kind": "positional", "valueName": "id"},
              {"kind": "option", "names": [{"kind": "long", "name": "as"}], "valueName": "as", "allValues": ["succeeded", "failed", "retry"]},
              {"kind": "positional", "valueName": "reason"}]}]},
          {"commandName": "rules", "abstract": "Sets of rules.", "subcommands": [
            {"commandName": "apply", "abstract": "Bring files into force."}, {"commandName": "delete", "abstract": "Take out of force."}]},
          {"commandName": "workflows", "abstract": "Graphs of tasks.", "subcommands": [
            {"commandName": "apply", "abstract": "Bring files into force."}, {"commandName": "delete", "abstract": "Take out of force."}]},
          {"commandName": "messages", "abstract": "Messages.", "subcommands": [{"commandName": "submit", "abstract": "Send some."}]},
          {"commandName": "debug-dump", "abstract": "Not shown.", "shouldDisplay": false},
          {"commandName": "help", "abstract": "Show help."}
         ]}}
        """#
}
