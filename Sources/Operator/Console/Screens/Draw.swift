package import Cells
import Primitives
import Text

extension ConsoleState {
    /// The screen of this state. Nothing else is asked: the same state gives the same cells.
    package func draw(theme: Theme) -> Surface {
        var canvas = Canvas(size: size, theme: theme, level: settings.glyphs)
        guard size.width > 0, size.height > 0 else { return canvas.surface }
        let layout = Layout(self)
        drawTitle(&canvas, layout)
        drawStrip(&canvas, layout)
        switch place.view {
        case .pulse: PulseScreen(state: self, layout: layout).draw(&canvas)
        case .help, .output: drawText(&canvas, layout)
        default: TableScreen(state: self, layout: layout).draw(&canvas)
        }
        if !layout.tour.isEmpty { drawTour(&canvas, layout) }
        drawBottom(&canvas, layout)
        if case .dialog(let dialog) = mode { drawDialog(dialog, &canvas) }
        if case .prompt(let prompt) = mode { drawCandidates(prompt, &canvas) }
        return settings.glyphs == .ascii ? canvas.surface.ascii : canvas.surface
    }

    // MARK: The frame

    private func drawTitle(_ canvas: inout Canvas, _ layout: Layout) {
        guard !layout.title.isEmpty else { return }
        canvas.rule(layout.title, .boxBorder)
        canvas.put(" distric ", 1, layout.title.y, .bright)
        var pieces: [Line] = []
        if !settings.context.isEmpty { pieces.append(Line(" \(settings.context) ", .stripText)) }
        if settings.isProtected { pieces.append(Line(" PROD ", .stripBadge)) }
        if settings.isReadOnly { pieces.append(Line(" RO ", .stripBadge)) }
        pieces.append(Line(" \(Words.clock(.string(now.rfc3339))) ", .stripText))
        switch freshness {
        case .live: pieces.append(Line(place.heldAt == nil ? " LIVE " : " HELD ", place.heldAt == nil ? .stripLive : .stripStale))
        case .stale(let seconds, _): pieces.append(Line(" STALE \(Words.short(seconds)) ", .stripStale))
        case .none: pieces.append(Line(" NO DATA ", .stripStale))
        }
        var x = layout.title.width - 1
        for piece in pieces.reversed() {
            guard x - piece.width > 11 else { break }
            x -= piece.width
            canvas.line(piece, x, layout.title.y, limit: piece.width)
        }
    }

    private func drawStrip(_ canvas: inout Canvas, _ layout: Layout) {
        guard !layout.strip.isEmpty else { return }
        canvas.surface.fill(layout.strip, canvas.theme[.stripText])
        guard let status else {
            // Elsewhere the view itself says so, in full.
            if case .none(let failure) = freshness, [.help, .output].contains(place.view) {
                canvas.put("no data: \(failure.message)", 1, layout.strip.y, .stripStale, limit: layout.strip.width - 2)
            }
            return
        }
        canvas.facts(StatusFacts.strip(status), 1, layout.strip.y, limit: layout.strip.width - 2)
    }

    private func drawBottom(_ canvas: inout Canvas, _ layout: Layout) {
        guard !layout.bottom.isEmpty else { return }
        let (y, width) = (layout.bottom.y, layout.bottom.width)
        if case .prompt(let prompt) = mode { return drawPrompt(prompt, &canvas, layout) }
        canvas.rule(layout.bottom, .boxBorder)
        var x = 1
        var crumbs = [Line(" cluster", .crumb)]
        for (number, place) in stack.enumerated() {
            crumbs.append(Line(" > ", .crumb) + Line(Self.crumb(place), number == stack.count - 1 ? .crumbCurrent : .crumb))
        }
        // The end of a long way is what matters.
        while crumbs.count > 2, crumbs.reduce(0, { $0 + $1.width }) > width / 2 { crumbs.remove(at: 1) }
        for crumb in crumbs { x += canvas.line(crumb, x, y, limit: max(0, width - x - 1)) }
        x += canvas.put(" ", x, y, .crumb)
        if let toast {
            let role: Role = toast.isProblem ? .error : .accent
            let text = " \(toast.text) "
            guard CharacterWidth.of(text) > width - x - 2, size.height > 6 else {
                return _ = canvas.put(text, width - 1 - CharacterWidth.of(text), y, role, limit: max(0, width - x - 2))
            }
            // What does not fit beside the way here stands above it, as a whole if it can.
            let lines = Words.wrapped(toast.text, width: max(10, width - 2)).prefix(min(4, size.height / 3))
            for (number, line) in lines.enumerated() {
                let row = y - lines.count + number
                canvas.surface.fill(Rect(0, row, width, 1), canvas.theme[role])
                canvas.put(line, 1, row, role, limit: width - 2)
            }
            return
        }
        // The most useful ones stay when there is no room for all.
        var shown: [Line] = []
        var used = 1
        for hint in hints where x + used + hint.width + 2 < width {
            shown.append(hint)
            used += hint.width + 2
        }
        var at = width - used
        for hint in shown {
            at += canvas.line(Line(" ", .hintText) + hint + Line(" ", .hintText), at, y, limit: hint.width + 2)
        }
    }

    static func crumb(_ place: Place) -> String {
        guard !place.subject.isEmpty else { return place.view.rawValue + (place.filter.isEmpty ? "" : " /\(Words.oneLine(place.filter))") }
        let subject = place.view == .task ? Words.shortTask(place.subject) : Words.shortID(place.subject)
        return "\(place.view.rawValue) \(CharacterWidth.cut(Words.oneLine(subject), to: 24))"
    }

    /// What can be done here, most useful first.
    private var hints: [Line] {
        func hint(_ action: KeyAction, _ word: String) -> Line {
            Line(settings.keymap.name(of: action), .hintKey) + Line(" \(word)", .hintText)
        }
        if case .sorting = mode {
            return [
                Line("left/right", .hintKey) + Line(" column", .hintText), Line("enter", .hintKey) + Line(" sort", .hintText),
                Line("0", .hintKey) + Line(" none", .hintText),
            ]
        }
        var found: [Line] = []
        if spec.open != nil || place.view == .pulse { found.append(hint(.open, "open")) }
        for action in spec.actions where !settings.isReadOnly {
            found.append(hint(action.action, action.title.split(separator: " ").first.map(String.init) ?? ""))
        }
        if spec.source != nil { found.append(hint(.source, "message")) }
        switch place.view {
        case .messages, .tasks: found.append(hint(.why, "why"))
        case .rules, .rule, .workflows, .workflow: if !settings.isReadOnly { found.append(hint(.edit, "edit")) }
        case .logs, .events: found += [hint(.pause, "pause"), hint(.follow, "follow")]
        case .pulse: found.append(hint(.nextTab, "pane"))
        case .raft: found.append(hint(.log, "log"))
        case .raftLog: found += [hint(.compare, "compare"), hint(.nextTab, "next log"), hint(.follow, "newest")]
        default: break
        }
        if hasRows, place.view != .help, place.view != .output { found.append(hint(.filter, "filter")) }
        found += [hint(.palette, "command"), hint(.help, "help")]
        if stack.count == 1 { found.append(hint(.quit, "quit")) } else { found.append(hint(.back, "back")) }
        return found
    }

    private func drawPrompt(_ prompt: Prompt, _ canvas: inout Canvas, _ layout: Layout) {
        let (y, width) = (layout.bottom.y, layout.bottom.width)
        canvas.surface.fill(layout.bottom, canvas.theme[.promptText])
        let symbol = prompt.kind == .palette ? ":" : "/"
        var x = canvas.put(symbol, 0, y, .promptSymbol)
        // A long line shows the part around its cursor.
        func columns(_ from: Int) -> Int { CharacterWidth.of(prompt.text.dropFirst(from).prefix(prompt.cursor - from)) }
        var skip = 0
        while skip < prompt.cursor, columns(skip) > max(1, width - 3) { skip = min(prompt.cursor, skip + max(1, width / 4)) }
        x += canvas.put(String(prompt.text.dropFirst(skip)), x, y, .promptText, limit: width - x)
        let ghost = ghost(prompt)
        x += canvas.put(ghost, x, y, .promptGhost, limit: width - x)
        canvas.surface.restyle(Rect(min(width - 1, 1 + columns(skip)), y, 1, 1)) { $0.attributes.formSymmetricDifference(.reverse) }
        let hint =
            prompt.problem ?? (prompt.kind == .palette ? settings.commands.hint(for: prompt.text) : "text /regex/ !not ~fuzzy column>5")
        let shown = CharacterWidth.cut(hint, to: max(0, width - x - 3))
        canvas.put(shown, width - CharacterWidth.of(shown), y, prompt.problem == nil ? .promptGhost : .promptError)
    }

    /// Completions stand above the prompt while Tab walks through them.
    private func drawCandidates(_ prompt: Prompt, _ canvas: inout Canvas) {
        guard prompt.candidates.count > 1, size.height > 4 else { return }
        let count = min(prompt.candidates.count, 8, size.height - 3)
        let first = max(0, min(prompt.candidate - count + 1, prompt.candidates.count - count))
        let shown = prompt.candidates[first..<first + count]
        let width = min(size.width, (shown.map { CharacterWidth.of($0) }.max() ?? 0) + 2)
        for (number, text) in shown.enumerated() {
            let y = size.height - 1 - count + number
            let role: Role = first + number == prompt.candidate ? .dialogFocus : .dialogText
            canvas.surface.fill(Rect(0, y, width, 1), canvas.theme[role])
            canvas.put(" " + text, 0, y, role, limit: width)
        }
    }

    // MARK: Text and dialogs

    private func drawText(_ canvas: inout Canvas, _ layout: Layout) {
        let lines = textLines
        let shown = lines.dropFirst(place.scroll)
        if lines.isEmpty { return _ = canvas.put("it printed nothing", 1, layout.rows.y, .dim) }
        canvas.lines(shown, in: Rect(1, layout.rows.y, max(0, size.width - 2), layout.rows.height), skip: place.column)
    }

    private func drawTour(_ canvas: inout Canvas, _ layout: Layout) {
        canvas.rule(layout.tour, .boxBorder)
        let lines = TourText.lines(self, width: layout.tour.width)
        let used = canvas.put(
            " \(lines.count == 3 ? "three" : "four") things to press ", 2, layout.tour.y, .accent, limit: layout.tour.width - 4)
        let told = demoSentence.isEmpty ? "" : " \(demoSentence) "
        let room = max(0, layout.tour.width - used - 5)
        canvas.put(told, layout.tour.width - 1 - min(room, CharacterWidth.of(told)), layout.tour.y, .bright, limit: room)
        for (number, line) in lines.enumerated() {
            canvas.line(line, 1, layout.tour.y + 1 + number, limit: layout.tour.width - 2)
        }
    }

    private func drawDialog(_ dialog: Dialog, _ canvas: inout Canvas) {
        let width = min(size.width, 72)
        let inner = max(1, width - 4)
        var lines: [Line] = []
        for text in dialog.effect { lines += Words.wrapped(text, width: inner).map { Line($0, .dialogText) } }
        lines.append(Line())
        lines += Words.wrapped(dialog.commands.count == 1 ? "the same in a shell:" : "the same in a shell, one by one:", width: inner).map {
            Line($0, .dialogText)
        }
        for command in dialog.commands.prefix(4) {
            lines += Words.wrapped(Self.shown(command), width: max(4, inner - 2)).map { Line("  " + $0, .dialogTitle) }
        }
        if dialog.commands.count > 4 { lines.append(Line("  and \(dialog.commands.count - 4) more", .dialogText)) }
        lines.append(Line())
        if let wanted = dialog.wanted {
            lines += Words.wrapped("type \(wanted) and press enter, or esc to leave it", width: inner).map { Line($0, .dialogDanger) }
            lines.append(Line("> \(dialog.typed)", .dialogText))
        } else {
            lines.append(
                Line(" y  yes ", dialog.isYesFocused ? .dialogFocus : .dialogText) + Line("   ", .dialogText)
                    + Line(" n  no ", dialog.isYesFocused ? .dialogText : .dialogFocus))
        }
        let height = min(size.height, lines.count + 2)
        let rect = Rect((size.width - width) / 2, max(0, (size.height - height) / 2), width, height)
        canvas.surface.fill(rect, canvas.theme[.dialogText])
        canvas.surface.box(rect, canvas.theme[.dialogBorder])
        canvas.put(" \(CharacterWidth.cut(dialog.title, to: max(0, width - 6))) ", rect.x + 2, rect.y, .dialogTitle)
        // What must be answered is at the end: a small screen shows that.
        let room = max(0, height - 2)
        canvas.lines(lines.suffix(room), in: Rect(rect.x + 2, rect.y + 1, inner, room))
    }
}

/// The tour of the first minutes.
enum TourText {
    static func lines(_ state: ConsoleState, width: Int) -> [Line] {
        func key(_ action: KeyAction) -> Line { Line(state.settings.keymap.name(of: action), .hintKey) }
        let enter = state.settings.keymap.name(of: .open)
        var all = [
            Line(" a  ", .dim) + key(.tab4) + Line(" then \(enter)", .hintKey) + Line("  open a run and watch its graph"),
            Line(" b  ", .dim) + Line(":messages \(enter) \(enter)", .hintKey) + Line("  ask why each rule did or did not match"),
            Line(" c  ", .dim) + key(.tab5) + Line(" then \(state.settings.keymap.name(of: .edit))", .hintKey)
                + Line("  change a threshold in $EDITOR, watch HIT% move"),
        ]
        if state.settings.isDemo, !state.settings.isReadOnly {
            all.append(
                Line(" d  ", .dim) + key(.kill) + Line("  kills the leader, ") + key(.restart)
                    + Line("  brings it back; watch that nothing gets lost"))
        }
        return all
    }
}
