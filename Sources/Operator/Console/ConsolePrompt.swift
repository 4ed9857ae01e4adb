import Cells
import Primitives
import Text

extension ConsoleState {
    private static let promptLimit = 4000

    mutating func type(_ key: Key, _ old: Prompt) -> [ConsoleEffect] {
        var prompt = old
        if key != .tab, key != .backTab { (prompt.candidates, prompt.candidate) = ([], -1) }
        switch key {
        case .escape: return leave(prompt)
        case .enter: return finish(prompt)
        case .character(let character): insert(String(character), &prompt)
        case .paste(let text): insert(Words.oneLine(text, limit: Self.promptLimit), &prompt)
        case .backspace:
            if prompt.text.isEmpty { return leave(prompt) }
            if prompt.cursor > 0 {
                prompt.text = String(prompt.text.prefix(prompt.cursor - 1) + prompt.text.dropFirst(prompt.cursor))
                prompt.cursor = min(prompt.cursor - 1, prompt.text.count)
            }
        case .delete:
            prompt.text = String(prompt.text.prefix(prompt.cursor) + prompt.text.dropFirst(prompt.cursor + 1))
            prompt.cursor = min(prompt.cursor, prompt.text.count)
        case .left, .control("b"): prompt.cursor = max(0, prompt.cursor - 1)
        case .right, .control("f"):
            if prompt.cursor == prompt.text.count { accept(&prompt) } else { prompt.cursor += 1 }
        case .home, .control("a"): prompt.cursor = 0
        case .end, .control("e"): prompt.cursor = prompt.text.count
        case .control("u"): (prompt.text, prompt.cursor) = (String(prompt.text.dropFirst(prompt.cursor)), 0)
        case .control("k"): prompt.text = String(prompt.text.prefix(prompt.cursor))
        case .control("w"): eraseWord(&prompt)
        case .tab: complete(&prompt, 1)
        case .backTab: complete(&prompt, -1)
        case .up: recall(&prompt, -1)
        case .down: recall(&prompt, 1)
        default: break
        }
        if prompt.kind == .filter { tryFilter(&prompt) }
        mode = .prompt(prompt)
        return []
    }

    private func insert(_ text: String, _ prompt: inout Prompt) {
        let room = max(0, Self.promptLimit - prompt.text.unicodeScalars.count)
        let text = String(String.UnicodeScalarView(text.unicodeScalars.prefix(room)))
        // What is typed may join the character before it: a mark, the second half of a flag.
        let head = prompt.text.prefix(prompt.cursor) + text
        prompt.text = String(head + prompt.text.dropFirst(prompt.cursor))
        prompt.cursor = min(head.count, prompt.text.count)
        prompt.problem = nil
    }

    private func eraseWord(_ prompt: inout Prompt) {
        var head = prompt.text.prefix(prompt.cursor)
        let tail = prompt.text.dropFirst(prompt.cursor)
        while head.last == " " { head.removeLast() }
        while let last = head.last, last != " " { head.removeLast() }
        prompt.text = String(head) + tail
        prompt.cursor = min(head.count, prompt.text.count)
    }

    private mutating func leave(_ prompt: Prompt) -> [ConsoleEffect] {
        if prompt.kind == .filter { setFilter(prompt.before) }
        mode = .normal
        return []
    }

    /// A filter works while it is typed; what cannot be read yet leaves the last one in force.
    private mutating func tryFilter(_ prompt: inout Prompt) {
        do throws(RowFilter.Problem) {
            _ = try RowFilter(prompt.text)
            prompt.problem = nil
            setFilter(prompt.text)
        } catch {
            prompt.problem = error.description
        }
    }

    /// Of the rows of before those that match stay until the node has answered, a moment later.
    mutating func setFilter(_ text: String) {
        guard !sameBytes(place.filter, text) else { return }
        let before = rowsFeed.flatMap { feeds[$0] }
        place.filter = text
        (place.row, place.top, place.selectedID) = (0, 0, nil)
        guard let feed = rowsFeed, feed.kind == .rows, feeds[feed] == nil, var data = before, let filter = try? RowFilter(text) else {
            return
        }
        data.narrow { matches($0, filter) }
        feeds[feed] = data
    }

    private mutating func finish(_ prompt: Prompt) -> [ConsoleEffect] {
        guard prompt.kind == .palette else {
            if let problem = prompt.problem {
                say(problem, isProblem: true)
                return []
            }
            mode = .normal
            return []
        }
        let text = prompt.text.trimmed
        mode = .normal
        guard !text.isEmpty else { return [] }
        if promptHistory.last != text { promptHistory.append(text) }
        if promptHistory.count > 200 { promptHistory.removeFirst() }
        return run(line: text)
    }

    // MARK: The palette

    private static let words = ["quit", "theme", "sort", "filter", "save"]

    /// What the palette offers: views first, then every command, then live names.
    func paletteCompletions(_ line: String) -> [CommandIndex.Completion] {
        var line = line
        if line.hasPrefix("distric ") { line = String(line.dropFirst(8)) }
        if line.hasPrefix("theme ") {
            return settings.themes.filter { $0.hasPrefix(line.dropFirst(6)) }.map { .init(text: $0, hint: "") }
        }
        let (words, partial) = CommandIndex.split(line)
        let commands = settings.commands.completions(of: line, names: names)
        guard words.isEmpty else { return commands }
        let views = View.top.filter { $0.rawValue.hasPrefix(partial) }.map { CommandIndex.Completion(text: $0.rawValue, hint: $0.summary) }
        let own = Self.words.filter { $0.hasPrefix(partial) }.map { CommandIndex.Completion(text: $0, hint: "") }
        let known = Set((views + own).map(\.text))
        return views + commands.filter { !known.contains($0.text) } + own
    }

    /// What the best completion adds to the line, shown pale.
    func ghost(_ prompt: Prompt) -> String {
        guard prompt.kind == .palette, prompt.cursor == prompt.text.count, !prompt.text.isEmpty,
            let best = paletteCompletions(prompt.text).first
        else { return "" }
        let (_, partial) = CommandIndex.split(prompt.text)
        return best.text.hasPrefix(partial) ? String(best.text.dropFirst(partial.count)) : ""
    }

    private func accept(_ prompt: inout Prompt) {
        let ghost = ghost(prompt)
        prompt.text += ghost
        prompt.cursor = prompt.text.count
    }

    private func complete(_ prompt: inout Prompt, _ step: Int) {
        guard prompt.kind == .palette else { return }
        if prompt.candidates.isEmpty {
            let (words, _) = CommandIndex.split(prompt.text)
            let head = words.joined(separator: " ")
            prompt.candidates = paletteCompletions(prompt.text).map { (head.isEmpty ? "" : head + " ") + $0.text }
            prompt.candidate = step > 0 ? -1 : 0
        }
        guard !prompt.candidates.isEmpty else { return }
        prompt.candidate = (prompt.candidate + step + prompt.candidates.count) % prompt.candidates.count
        prompt.text = prompt.candidates[prompt.candidate]
        prompt.cursor = prompt.text.count
    }

    private func recall(_ prompt: inout Prompt, _ step: Int) {
        guard prompt.kind == .palette, !promptHistory.isEmpty else { return }
        let next = (prompt.historyPlace ?? promptHistory.count) + step
        guard next >= 0 else { return }
        if next >= promptHistory.count {
            (prompt.historyPlace, prompt.text) = (nil, "")
        } else {
            (prompt.historyPlace, prompt.text) = (next, promptHistory[next])
        }
        prompt.cursor = prompt.text.count
    }

    /// A view's name, a word of the palette's own, or a command line.
    package mutating func run(line: String) -> [ConsoleEffect] {
        let words: [String]
        do throws(ShellWords.Unclosed) { words = try ShellWords.split(line) } catch {
            say("the quotation \(error.quote) is not closed", isProblem: true)
            return []
        }
        // What was said of the line before is of no more use.
        toast = nil
        guard var first = words.first else { return [] }
        var rest = Array(words.dropFirst())
        if first == "distric", let next = rest.first { (first, rest) = (next, Array(rest.dropFirst())) }
        if rest.isEmpty, let view = View.top.first(where: { $0.rawValue == first }) {
            show(view)
            return []
        }
        // With more words it is a command.
        if first == "raft", rest == ["log"], let node = status?["node"]?.string {
            push(Place(.raftLog, node))
            return []
        }
        if rest.count == 1, !rest[0].hasPrefix("-"), let view = View(rawValue: first), !view.isTop, view != .output {
            push(Place(view, rest[0]))
            return []
        }
        switch first {
        case "q", "quit", "exit": return [.quit]
        case "theme":
            guard let name = rest.first else {
                say("themes: \(settings.themes.joined(separator: ", "))")
                return []
            }
            guard settings.themes.contains(name) || name.contains("/") else {
                let meant = suggestion(for: name, among: settings.themes).map { "; did you mean '\($0)'?" } ?? ""
                say("no theme '\(name)'\(meant)", isProblem: true)
                return []
            }
            return [.theme(name)]
        case "sort":
            guard let order = rest.isEmpty ? RowOrder() : RowOrder(rest[0]),
                order.keys.allSatisfy({ key in spec.columns.contains { $0.key == key.column } })
            else {
                say(
                    "sort takes one or two of \(spec.columns.map(\.key).filter { !$0.isEmpty }.joined(separator: ", ")), '-' turns one round",
                    isProblem: true)
                return []
            }
            place.order = order
            (place.row, place.top, place.selectedID) = (0, 0, nil)
            return []
        case "save":
            let name = rest.first ?? "distric-\(place.view.rawValue).txt"
            guard [".txt", ".ansi", ".json", ".csv"].contains(where: { name.hasSuffix($0) }) else {
                say("save takes a file that ends in .txt, .ansi, .json or .csv", isProblem: true)
                return []
            }
            return [.save(name)]
        case "filter":
            // As it was typed: the filter has quotations of its own.
            let typed = line.trimmed.drop { $0 == " " }.dropFirst(first.count).drop { $0 == " " }
            do throws(RowFilter.Problem) { _ = try RowFilter(String(typed)) } catch {
                say(error.description, isProblem: true)
                return []
            }
            setFilter(String(typed))
            return []
        case "demo" where rest.first.map { !$0.hasPrefix("-") } ?? false: break
        case "console", "demo", "shell", "node":
            say("'\(first)' cannot run within the console", isProblem: true)
            return []
        default: break
        }
        let known = settings.commands.root.children.map(\.name) + (settings.commands.root.children.isEmpty ? [] : ["help"])
        guard known.isEmpty || known.contains(first) else {
            let meant = suggestion(for: first, among: View.top.map(\.rawValue) + known + Self.words)
            say("no view or command '\(first)'\(meant.map { "; did you mean '\($0)'?" } ?? "; ? lists the keys")", isProblem: true)
            return []
        }
        let command = [first] + rest
        return confirm("\(command.prefix(2).joined(separator: " "))?", [DangerTier.of(command).effect], [command])
    }
}
