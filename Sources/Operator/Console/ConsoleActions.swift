import Cells
import Primitives
import Text

extension ConsoleState {
    // MARK: Actions on rows

    func refusesChange(_ what: String) -> String? {
        settings.isReadOnly
            ? "this console is read-only: \(what) is not possible here" : nil
    }

    /// The rows that an action is for: the marked ones, else the selected one, else what the view is about.
    private var targets: [Value] {
        let rows = rows
        if !place.marks.isEmpty {
            // In the order of the screen, as they are now; then those that are not loaded, as they were.
            let here = rows.loaded.compactMap { rows.at($0) }.filter { place.marks[id(of: $0)] != nil }
            let known = Set(here.map { id(of: $0) })
            return here + place.marks.filter { !known.contains($0.key) }.sorted { $0.key < $1.key }.map(\.value)
        }
        return [selectedRow ?? value].compactMap { $0 }
    }

    mutating func ask(_ action: KeyAction) -> [ConsoleEffect] {
        let own = aboutItself
        guard let spec = (spec.actions.isEmpty && own != nil ? own?.actions : spec.actions)?.first(where: { $0.action == action }) else {
            return refuse("nothing to \(action.rawValue) in this view")
        }
        if let refusal = refusesChange(spec.title) { return refuse(refusal, isProblem: true) }
        // In the view of one thing the action is for that thing.
        let chosen = own.map { [$0.value] } ?? targets
        guard !chosen.isEmpty else { return refuse("nothing is selected") }
        var commands: [[String]] = []
        var refused: [String] = []
        for row in chosen {
            switch spec.command(row) {
            case .success(let arguments): if !commands.contains(arguments) { commands.append(arguments) }
            case .failure(let refusal): refused.append(refusal.reason)
            }
        }
        guard !commands.isEmpty, let first = chosen.first else {
            let reason = refused.first ?? "it does not fit"
            return refuse(chosen.count > 1 ? "none of the \(chosen.count) marked fits: \(reason)" : reason, isProblem: true)
        }
        // Of several, what is said of one would be wrong of the others.
        let single = chosen.count == 1 ? spec.effect?(first) : nil
        var effect = [single ?? DangerTier.of(commands[0]).effect]
        if !refused.isEmpty { effect.append("\(refused.count) of \(chosen.count) are left out: \(refused[0])") }
        return confirm(commands.count == 1 ? "\(spec.title)?" : "\(spec.title), \(commands.count) times?", effect, commands)
    }

    /// Runs commands of one kind, after what their danger asks for.
    mutating func confirm(_ title: String, _ effect: [String], _ commands: [[String]]) -> [ConsoleEffect] {
        guard let first = commands.first else { return [] }
        toast = nil
        // Who may only read is refused by what would send it.
        switch settings.isReadOnly ? .mild : DangerTier.of(first).tier {
        case .mild: return start(commands)
        case .moderate: mode = .dialog(Dialog(title: title, effect: effect, commands: commands))
        case .severe:
            let name = commands.count == 1 ? first.filter { !$0.hasPrefix("-") }.dropFirst(2).first ?? "yes" : "\(commands.count)"
            mode = .dialog(Dialog(title: title, effect: effect, commands: commands.map(DangerTier.answered), wanted: name))
        }
        return []
    }

    mutating func refuse(_ text: String, isProblem: Bool = false) -> [ConsoleEffect] {
        say(text, isProblem: isProblem)
        return []
    }

    private mutating func start(_ commands: [[String]]) -> [ConsoleEffect] {
        batches.append(commands.count)
        return commands.map { .run($0) }
    }

    /// What the actions of a detail view are for: the thing that it shows.
    private var aboutItself: (value: Value, actions: [ActionSpec])? {
        guard let value else { return nil }
        switch place.view {
        case .run, .task: return (value, spec.actions)
        case .rule:
            let set = place.subject.split(separator: "/").first.map(String.init) ?? ""
            return (.object(["set": .string(set), "namespace": .string(place.namespace)]), DefinitionActionSpecs.rules)
        case .workflow: return nil
        default: return nil
        }
    }

    /// A dialog's answer where it is typed as a line.
    package mutating func answer(line: String) -> [ConsoleEffect] {
        guard case .dialog(let dialog) = mode else { return [] }
        guard let wanted = dialog.wanted else {
            return answer(["y", "yes"].contains(line.lowercased()) ? .character("y") : .escape, dialog)
        }
        guard line == wanted else { return answer(.escape, dialog) }
        var whole = dialog
        whole.typed = line
        return answer(.enter, whole)
    }

    mutating func answer(_ key: Key, _ dialog: Dialog) -> [ConsoleEffect] {
        var dialog = dialog
        func isDone(_ yes: Bool) -> [ConsoleEffect] {
            mode = .normal
            guard yes else {
                say("nothing was done")
                return []
            }
            place.marks = [:]
            return start(dialog.commands)
        }
        switch (key, dialog.wanted) {
        case (.escape, _): return isDone(false)
        case (.character("y"), nil), (.character("Y"), nil): return isDone(true)
        case (.character("n"), nil), (.character("N"), nil), (.character("q"), nil): return isDone(false)
        case (.left, nil), (.right, nil), (.tab, nil), (.backTab, nil): dialog.isYesFocused.toggle()
        case (.enter, nil): return isDone(dialog.isYesFocused)
        case (.enter, let wanted?):
            if dialog.typed == wanted { return isDone(true) }
            say("type \(wanted) to go on, or esc to leave it", isProblem: true)
        case (.backspace, .some): if !dialog.typed.isEmpty { dialog.typed.removeLast() }
        case (.character(let character), .some): if dialog.typed.count < 100 { dialog.typed.append(character) }
        default: break
        }
        mode = .dialog(dialog)
        return []
    }

    mutating func finished(_ result: CommandResult) -> [ConsoleEffect] {
        // Commands run one after the other, so that results come batch by batch.
        pendingResults.append(result)
        let wanted = batches.first ?? 1
        guard pendingResults.count >= wanted else { return [] }
        if !batches.isEmpty { batches.removeFirst() }
        let results = pendingResults
        pendingResults = []
        if results.count == 1 { return tell(results[0]) }
        let failed = results.filter { $0.code != 0 }.count
        var lines: [Line] = []
        for result in results {
            let text = result.code == 0 ? result.out : result.problem
            lines.append(
                Line(result.code == 0 ? "ok    " : "failed ", result.code == 0 ? .ok : .error)
                    + Line(Self.shown(result.arguments) + "  ") + Line(Words.oneLine(text.trimmed), .dim))
        }
        showOutput("\(results.count - failed) of \(results.count) done", lines)
        return []
    }

    private mutating func tell(_ result: CommandResult) -> [ConsoleEffect] {
        let command = Self.shown(result.arguments)
        let text = result.out.trimmed
        let isApply = result.arguments.dropFirst().first == "apply"
        if result.code == 0, result.arguments.prefix(2) == ["runs", "retry"], let run = text.split(separator: " ").dropFirst().first {
            // What was begun is what is looked at next.
            push(Place(.run, String(run)))
            say("retried: this is the new run   (\(command))")
            return []
        }
        if result.code == 0, text.count < 240, !text.contains("\n") || isApply && text.split(separator: "\n").count <= 3 {
            say(text.isEmpty ? "done: \(command)" : "\(text.replacing("\n", with: "; "))   (\(command))")
            return []
        }
        if result.code != 0, text.isEmpty, !result.problem.trimmed.contains("\n") {
            let problem = result.problem.trimmed.replacing("distric: ", with: "")
            say(problem.isEmpty ? "it ended with \(result.code): \(command)" : problem, isProblem: true)
            return []
        }
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).prefix(20_000).map { Line(Words.expanded(String($0))) }
        if !result.problem.trimmed.isEmpty {
            lines += result.problem.trimmed.split(separator: "\n").map { Line(Words.oneLine(String($0)), result.code == 0 ? .dim : .error) }
        }
        showOutput(command, lines)
        return []
    }

    /// What was wrong at the start: a line, or a page when there is more than one.
    package mutating func complain(_ problem: String) {
        guard let first = toast, first.isProblem else { return say(problem, isProblem: true) }
        showOutput("at the start", [first.text, problem].map { Line(Words.oneLine($0), .error) })
    }

    private mutating func showOutput(_ title: String, _ lines: [Line]) {
        var place = Place(.output, title)
        place.text = lines
        if self.place.view == .output { self.place = place } else { push(place) }
    }

    /// As it would be typed in a shell.
    package static func shown(_ arguments: [String]) -> String { "distric " + arguments.map(ShellWords.quoted).joined(separator: " ") }

    // MARK: Ways between views

    mutating func why() {
        guard let row = selectedRow ?? value else { return say("nothing is selected") }
        switch place.view {
        case .messages: if let id = row["id"]?.string { push(Place(.message, id, namespace: row["namespace"]?.string ?? "")) }
        case .tasks, .run, .node: if let id = row["id"]?.string { push(Place(.task, id)) }
        case .runs, .workflow:
            // The task that decided how the run ended, or that it waits for, is in the run's view.
            if let id = row["id"]?.string { push(Place(.run, id)) }
        case .task, .rule, .message: say("the answer is on this screen")
        case .rules: if let id = row["id"]?.string { push(Place(.rule, id, namespace: row["namespace"]?.string ?? "")) }
        case .events: if let next = EventTarget.place(row) { push(next) }
        case .raft:
            say(value.flatMap { RaftWords.elections($0).first }.map { RaftWords.election($0, now: now) } ?? "no election was seen yet")
        default: say("nothing to explain here")
        }
    }

    mutating func toSource() {
        let row = selectedRow ?? .null
        if let next = spec.source?(row, value) ?? Views.message(of: row) { return push(next) }
        guard place.view == .tasks || place.view == .node, let id = row["id"]?.string else { return say("no message is behind this") }
        push(Place(.task, id))
        say("\(settings.keymap.name(of: .source)) again leads to the message")
    }

    mutating func resolve() {
        if let refusal = refusesChange("resolving a task") { return say(refusal, isProblem: true) }
        let row = place.view == .task ? value ?? .null : selectedRow ?? .null
        guard let id = row["id"]?.string, row["task"] != nil else { return say("no task is selected") }
        guard row["state"]?.string == "unknown" else {
            return say("only a task in state unknown is resolved; this one is \(Words.plain(row["state"]))")
        }
        if let refusal = refusesChange("resolving a task") { return say(refusal, isProblem: true) }
        let text = "tasks resolve \(id) --as "
        mode = .prompt(Prompt(kind: .palette, text: text, cursor: text.count))
    }

    mutating func edit() -> [ConsoleEffect] {
        if let refusal = refusesChange("editing") {
            say(refusal, isProblem: true)
            return []
        }
        let row = selectedRow ?? .null
        switch place.view {
        case .rules:
            guard let set = row["set"]?.string else { return [] }
            return [.edit(kind: "rule set", name: set, namespace: row["namespace"]?.string ?? "")]
        case .rule:
            guard let set = place.subject.split(separator: "/").first else { return [] }
            return [.edit(kind: "rule set", name: String(set), namespace: place.namespace)]
        case .workflows:
            guard let name = row["name"]?.string else { return [] }
            return [.edit(kind: "workflow", name: name, namespace: row["namespace"]?.string ?? "")]
        case .workflow: return [.edit(kind: "workflow", name: place.subject, namespace: place.namespace)]
        default:
            say("only rules and workflows are edited")
            return []
        }
    }

    mutating func copy() -> [ConsoleEffect] {
        let text = selectedRow.map { Words.plain($0[spec.idKey]) } ?? place.subject
        guard !text.isEmpty else {
            say("nothing is selected")
            return []
        }
        say("copied \(text)")
        return [.copy(text)]
    }

    mutating func save() -> [ConsoleEffect] {
        let name = "distric-\(place.view.rawValue)-\(Words.clock(.string(now.rfc3339)).replacing(":", with: "")).txt"
        return [.save(name)]
    }
}

extension String {
    var trimmed: String {
        var text = self[...]
        while let last = text.last, last.isWhitespace { text.removeLast() }
        while let first = text.first, first.isNewline { text.removeFirst() }
        return String(text)
    }
}

extension Words {
    /// Tabs as spaces, control characters gone.
    static func expanded(_ text: String) -> String { oneLine(text.replacing("\t", with: "    "), limit: 4000) }
}
