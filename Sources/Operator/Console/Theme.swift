package import Cells
package import Definitions
import Primitives
import Text

/// What a piece of the screen is, as themes name it; the look of each is the theme's.
package enum Role: String, CaseIterable, Sendable {
    case text = "base.text"
    case dim = "base.dim"
    case bright = "base.bright"
    case accent = "base.accent"
    case ok = "base.ok"
    case warning = "base.warning"
    case error = "base.error"
    case stripText = "strip.text"
    case stripLabel = "strip.label"
    case stripValue = "strip.value"
    case stripLive = "strip.live"
    case stripStale = "strip.stale"
    case stripBadge = "strip.badge"
    case boxBorder = "box.border"
    case boxFocus = "box.focus"
    case boxTitle = "box.title"
    case boxHotkey = "box.hotkey"
    case boxRaft = "box.raft"
    case boxGossip = "box.gossip"
    case boxTasks = "box.tasks"
    case boxFlow = "box.flow"
    case boxRules = "box.rules"
    case boxEvents = "box.events"
    case tableHeader = "table.header"
    case tableSorted = "table.sorted"
    case tableRow = "table.row"
    case tableSelected = "table.selected"
    case tableMarked = "table.marked"
    case tableMatch = "table.match"
    case stateOK = "state.ok"
    case stateRun = "state.run"
    case stateWait = "state.wait"
    case stateWarn = "state.warn"
    case stateFail = "state.fail"
    case stateUnknown = "state.unknown"
    case stateOff = "state.off"
    case promptText = "prompt.text"
    case promptGhost = "prompt.ghost"
    case promptSymbol = "prompt.symbol"
    case promptError = "prompt.error"
    case crumb = "crumb.text"
    case crumbCurrent = "crumb.current"
    case hintKey = "hint.key"
    case hintText = "hint.text"
    case dialogText = "dialog.text"
    case dialogBorder = "dialog.border"
    case dialogTitle = "dialog.title"
    case dialogFocus = "dialog.focus"
    case dialogDanger = "dialog.danger"
    case chartLine = "chart.line"
    case chartAxis = "chart.axis"
    case gradientLow = "gradient.low"
    case gradientMiddle = "gradient.middle"
    case gradientHigh = "gradient.high"
    case traceQueue = "trace.queue"
    case traceRaft = "trace.raft"
    case traceNetwork = "trace.network"
    case traceRun = "trace.run"
    case traceRetry = "trace.retry"
    case dagNode = "dag.node"
    case dagEdge = "dag.edge"
    case dagCritical = "dag.critical"
    case dagSelected = "dag.selected"
    case logTrace = "log.trace"
    case logDebug = "log.debug"
    case logInfo = "log.info"
    case logNotice = "log.notice"
    case logWarning = "log.warning"
    case logError = "log.error"
    case logCritical = "log.critical"
    case jsonKey = "json.key"
    case jsonString = "json.string"
    case jsonNumber = "json.number"
    case jsonLiteral = "json.literal"

    /// Drawn lines need less contrast than words (WCAG 2.1, 1.4.11).
    package var isLine: Bool {
        switch self {
        case .boxBorder, .boxFocus, .boxRaft, .boxGossip, .boxTasks, .boxFlow, .boxRules, .boxEvents, .dialogBorder, .chartLine, .chartAxis,
            .dagEdge, .gradientLow, .gradientMiddle, .gradientHigh, .traceQueue, .traceRaft, .traceNetwork, .traceRun, .traceRetry:
            true
        default: false
        }
    }
}

/// The seven ways a thing can be; shown by glyph, word and colour together.
package enum StateLook: String, CaseIterable, Sendable {
    case ok, run, wait, warn, fail, unknown, off

    package var role: Role {
        switch self {
        case .ok: .stateOK
        case .run: .stateRun
        case .wait: .stateWait
        case .warn: .stateWarn
        case .fail: .stateFail
        case .unknown: .stateUnknown
        case .off: .stateOff
        }
    }

    /// For the words of the API: states of runs, tasks, nodes, health, severities.
    package init(word: String) {
        switch word {
        case "succeeded", "up", "alive", "leader", "yes", "info", "done", "live", "applied", "same", "available": self = .ok
        case "running", "leased", "follower", "committed", "full": self = .run
        case "queued", "pending", "waiting", "draining", "learner", "appended", "missing": self = .wait
        case "held", "degraded", "suspect", "warning", "stale", "timed_out", "candidate", "silent", "after", "overdue",
            "frozen":
            self = .warn
        case "failed", "down", "dead", "error", "critical", "differs", "lost", "distrusted": self = .fail
        case "skipped", "cancelled", "disabled", "no", "left", "", "cordoned", "drained": self = .off
        default: self = .unknown
        }
    }
}

/// The look of the console: a style for each role, a glyph for each state. Read from TOML; what a file leaves out comes from the standard one.
package struct Theme: Equatable, Sendable {
    package struct Glyph: Equatable, Sendable {
        package var symbol: Character
        package var ascii: Character
    }

    package var name: String
    package var isLight: Bool
    private var styles: [Role: Style]
    private var glyphs: [StateLook: Glyph]

    package subscript(role: Role) -> Style { styles[role] ?? Style() }

    package func glyph(_ state: StateLook, _ level: GlyphLevel) -> Character {
        let glyph = glyphs[state] ?? Glyph(symbol: "?", ascii: "?")
        return level == .ascii ? glyph.ascii : glyph.symbol
    }

    /// No colours at all, for terminals that have none and for `NO_COLOR`: weight and reversal remain.
    package var withoutColors: Theme {
        var copy = self
        copy.styles = styles.mapValues { Style(.standard, on: .standard, $0.attributes) }
        for role in [Role.tableSelected, .dialogFocus, .tableMatch, .stripBadge, .dagSelected] {
            copy.styles[role]?.attributes.insert(.reverse)
        }
        for role in [Role.tableMarked, .dialogDanger, .stripStale, .stateFail, .dagCritical, .boxFocus] {
            copy.styles[role]?.attributes.insert(.bold)
        }
        return copy
    }

    /// Used until a theme was read, and where one says nothing.
    package static let plain = Theme(
        name: "plain", isLight: false, styles: Dictionary(uniqueKeysWithValues: Role.allCases.map { ($0, Style()) }),
        glyphs: [
            .ok: Glyph(symbol: "●", ascii: "*"), .run: Glyph(symbol: "▶", ascii: ">"), .wait: Glyph(symbol: "○", ascii: "."),
            .warn: Glyph(symbol: "▲", ascii: "!"), .fail: Glyph(symbol: "✗", ascii: "x"), .unknown: Glyph(symbol: "?", ascii: "?"),
            .off: Glyph(symbol: "·", ascii: "-"),
        ])

    private init(name: String, isLight: Bool, styles: [Role: Style], glyphs: [StateLook: Glyph]) {
        self.name = name
        self.isLight = isLight
        self.styles = styles
        self.glyphs = glyphs
    }
}

// MARK: Reading

extension Theme {
    /// Reads a theme file:
    ///
    ///     name = "dusk"
    ///     background = "dark"                    # what 'default' is taken for
    ///     [palette]
    ///     ink = "#d8dee9"
    ///     [style]
    ///     base = "$ink on #101418"               # a whole group, refined by what follows
    ///     "base.dim" = "#8a93a3"
    ///     "table.selected" = "$ink on 24 +bold"
    ///     [state.fail]
    ///     glyph = "✗"
    ///     ascii = "x"
    ///
    /// A colour is `$name`, `#rrggbb`, a number from 0 to 255, or `default`. Problems come with file and line.
    package init(toml bytes: [UInt8], file: String, over base: Theme = .plain) throws(Diagnostic) {
        let value = try TOMLReader.read(bytes, file: file)
        var reader = ThemeReader(lines: TOMLLines(bytes), file: file, theme: base)
        self = try reader.read(value)
    }

    fileprivate mutating func set(_ role: Role, _ style: Style) { styles[role] = style }
    fileprivate mutating func set(_ state: StateLook, _ glyph: Glyph) { glyphs[state] = glyph }
    fileprivate func glyph(of state: StateLook) -> Glyph { glyphs[state] ?? Glyph(symbol: "?", ascii: "?") }
}

/// Turns a theme file's values into a theme.
private struct ThemeReader {
    private let lines: TOMLLines
    private let file: String
    private var theme: Theme
    private var palette: [String: Color] = [:]

    init(lines: TOMLLines, file: String, theme: Theme) {
        self.lines = lines
        self.file = file
        self.theme = theme
    }

    mutating func read(_ value: Value) throws(Diagnostic) -> Theme {
        for member in value.map?.members ?? [] {
            switch member.key {
            case "name": theme.name = try text(member.value, "name")
            case "background":
                let word = try text(member.value, "background")
                guard word == "dark" || word == "light" else { throw problem("background", "'\(word)' is neither dark nor light") }
                theme.isLight = word == "light"
            case "palette", "style", "state": break
            default:
                let meant = suggestion(for: member.key, among: ["name", "background", "palette", "style", "state"])
                throw problem(member.key, "unknown key '\(member.key)'\(meant.map { "; did you mean '\($0)'?" } ?? "")")
            }
        }
        for member in try members(value["palette"], "palette") {
            palette[member.key] = try color(try text(member.value, member.key, in: "palette"), member.key, in: "palette")
        }
        try readStyles(value["style"])
        for member in try members(value["state"], "state") { try readState(member.key, member.value) }
        return theme
    }

    /// Groups first, whatever their place in the file, so that single roles refine them.
    private mutating func readStyles(_ value: Value?) throws(Diagnostic) {
        let members = try members(value, "style")
        let groups = Set(Role.allCases.map { String($0.rawValue.prefix { $0 != "." }) })
        for member in members where groups.contains(member.key) {
            for role in Role.allCases where role.rawValue.hasPrefix(member.key + ".") {
                theme.set(role, try style(try text(member.value, member.key, in: "style"), member.key, over: theme[role]))
            }
        }
        for member in members where !groups.contains(member.key) {
            guard let role = Role(rawValue: member.key) else {
                let meant = suggestion(for: member.key, among: Role.allCases.map(\.rawValue) + groups.sorted())
                let hint =
                    member.value.map == nil ? "; see distric-theme(5)" : "; a role is written in quotes: \"\(member.key).NAME\" = ..."
                throw problem(
                    member.key, "no role '\(member.key)'\(meant.map { "; did you mean '\($0)'?" } ?? hint)", in: "style")
            }
            theme.set(role, try style(try text(member.value, member.key, in: "style"), member.key, over: theme[role]))
        }
    }

    private mutating func readState(_ name: String, _ value: Value) throws(Diagnostic) {
        guard let state = StateLook(rawValue: name) else {
            throw problem("state.\(name)", "no state '\(name)'; there are \(StateLook.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        var glyph = theme.glyph(of: state)
        for member in try members(value, "state.\(name)") {
            let table = "state.\(name)"
            let text = try text(member.value, member.key, in: table)
            guard text.count == 1, let character = text.first, text.unicodeScalars.first.map(CharacterWidth.of) == 1 else {
                throw problem(member.key, "'\(Words.oneLine(text))' is not one character of one column", in: table)
            }
            switch member.key {
            case "glyph": glyph.symbol = character
            case "ascii":
                guard character.isASCII else { throw problem(member.key, "'\(text)' is not ASCII", in: table) }
                glyph.ascii = character
            default: throw problem(member.key, "unknown key '\(member.key)'; a state has glyph and ascii", in: table)
            }
        }
        theme.set(state, glyph)
    }

    /// `fg [on bg] [+attribute ...]`.
    private func style(_ text: String, _ key: String, over base: Style) throws(Diagnostic) -> Style {
        var style = Style(base.foreground, on: base.background)
        var (isBackground, hasColor) = (false, false)
        for word in text.split(separator: " ").map(String.init) {
            switch word {
            case "on":
                guard !isBackground else { throw problem(key, "'on' comes twice", in: "style") }
                (isBackground, hasColor) = (true, false)
            case "+bold": style.attributes.insert(.bold)
            case "+dim": style.attributes.insert(.dim)
            case "+italic": style.attributes.insert(.italic)
            case "+underline": style.attributes.insert(.underline)
            case "+reverse": style.attributes.insert(.reverse)
            case _ where word.hasPrefix("+"):
                throw problem(key, "no attribute '\(word)'; there are +bold, +dim, +italic, +underline, +reverse", in: "style")
            default:
                guard !hasColor else { throw problem(key, "'\(word)': one colour, then 'on' and another", in: "style") }
                hasColor = true
                let color = try color(word, key, in: "style")
                if isBackground { style.background = color } else { style.foreground = color }
            }
        }
        if isBackground, !hasColor { throw problem(key, "a colour is missing after 'on'", in: "style") }
        return style
    }

    private func color(_ text: String, _ key: String, in table: String) throws(Diagnostic) -> Color {
        if text == "default" { return .standard }
        if text.hasPrefix("$") {
            guard let found = palette[String(text.dropFirst())] else {
                let meant = suggestion(for: String(text.dropFirst()), among: palette.keys.sorted()).map { "; did you mean '$\($0)'?" } ?? ""
                throw problem(key, "the palette has no '\(text.dropFirst())'\(meant)", in: table)
            }
            return found
        }
        let digits = text.dropFirst()
        if text.hasPrefix("#"), text.utf8.count == 7, digits.allSatisfy(\.isHexDigit), let hex = UInt32(digits, radix: 16) {
            return .rgb(hex)
        }
        if text.allSatisfy(\.isNumber), let number = UInt8(text) { return .index(number) }
        throw problem(key, "'\(text)' is no colour; write #rrggbb, 0 to 255, $name or default", in: table)
    }

    private func text(_ value: Value, _ key: String, in table: String? = nil) throws(Diagnostic) -> String {
        if let text = value.string { return text }
        if let number = value.int { return String(number) }
        throw problem(key, "expected text, found a \(value.kind)", in: table)
    }

    private func members(_ value: Value?, _ key: String) throws(Diagnostic) -> [Fields.Member] {
        guard let value else { return [] }
        guard let fields = value.map else { throw problem(key, "'\(key)' must be a table") }
        return fields.members
    }

    private func problem(_ key: String, _ message: String, in table: String? = nil) -> Diagnostic {
        Diagnostic(file: file, position: lines.position(of: key, in: table), message: message)
    }
}
