import Cells
import Definitions
import Foundation
import Testing
import Themes

@testable import Operator

private func bytes(of name: String) throws -> [UInt8] {
    let found = Themes.all.first { $0.name == name }
    return try #require(found?.toml)
}

private func builtIn(_ name: String) throws -> Theme { try Theme(toml: bytes(of: name), file: "\(name).toml") }

private func parsed(_ text: String, over base: Theme = .plain) throws -> Theme {
    try Theme(toml: Array(text.utf8), file: "dusk.toml", over: base)
}

/// As the screen shows a style: with the black or white that the theme is made for where it leaves a colour to the terminal.
private func shown(_ style: Style, isLight: Bool) -> (ink: UInt32, ground: UInt32) {
    let ink = style.foreground.shown ?? (isLight ? 0x000000 : 0xFFFFFF)
    let ground = style.background.shown ?? (isLight ? 0xFFFFFF : 0x000000)
    return style.attributes.contains(.reverse) ? (ground, ink) : (ink, ground)
}

private func contrast(_ role: Role, _ theme: Theme) -> Double {
    let (ink, ground) = shown(theme[role], isLight: theme.isLight)
    return Palette.contrast(ink, ground)
}

/// The themes that the binary carries. Contrast by WCAG 2.1, 1.4.3 and 1.4.11.
struct BuiltInThemeTests {
    static let names = Themes.all.map { $0.name }
    static let inColor = names.filter { $0 != "mono" }
    /// Those with hues of their own, whatever the terminal's palette is.
    static let painted = inColor.filter { $0 != "tty16" }

    @Test func `there are eight, the standard one first`() {
        #expect(Self.names.count == 8)
        #expect(Set(Self.names).count == 8)
        #expect(Self.names.first == Themes.standard)
    }

    @Test(arguments: BuiltInThemeTests.names)
    func `each bears the name of its file and says what it is made for`(name: String) throws {
        let theme = try builtIn(name)
        #expect(theme.name == name)
        #expect(theme.isLight == (name == "distric-light"))
        #expect(try bytes(of: name).first == UInt8(ascii: "#"))
    }

    @Test(arguments: BuiltInThemeTests.names)
    func `each says something of every role and every state`(name: String) throws {
        let groups = Set(Role.allCases.compactMap { $0.rawValue.split(separator: ".").first.map(String.init) })
        let styles = groups.sorted().map { "\($0) = \"201 on 202\"\n" }.joined()
        let glyphs = StateLook.allCases.map { "[state.\($0.rawValue)]\nglyph = \"Z\"\nascii = \"Z\"\n" }.joined()
        let untouched = try parsed("[style]\n" + styles + glyphs)
        let theme = try Theme(toml: bytes(of: name), file: "\(name).toml", over: untouched)
        for role in Role.allCases {
            #expect(theme[role].foreground != .index(201), "\(role.rawValue) of \(name)")
            #expect(theme[role].background != .index(202), "\(role.rawValue) of \(name)")
        }
        for state in StateLook.allCases {
            for level in GlyphLevel.allCases { #expect(theme.glyph(state, level) != "Z", "\(state.rawValue) of \(name)") }
        }
    }

    @Test(arguments: BuiltInThemeTests.inColor)
    func `words have a contrast of 4.5 with what is behind them, lines one of 3`(name: String) throws {
        let theme = try builtIn(name)
        for role in Role.allCases {
            let (ratio, least) = (contrast(role, theme), role.isLine ? 3 : 4.5)
            #expect(ratio >= least, "\(role.rawValue) of \(name) has \(ratio)")
        }
    }

    @Test func `high contrast means 7 for words and 4.5 for lines`() throws {
        let theme = try builtIn("high-contrast")
        for role in Role.allCases {
            let (ratio, least) = (contrast(role, theme), role.isLine ? 4.5 : 7)
            #expect(ratio >= least, "\(role.rawValue) has \(ratio)")
        }
    }

    @Test(arguments: BuiltInThemeTests.painted)
    func `what a selected row says stays readable on its background`(name: String) throws {
        let theme = try builtIn(name)
        let ground = try #require(theme[.tableSelected].background.shown)
        #expect(ground != theme[.tableRow].background.shown)
        let words: [Role] = [.text, .dim, .bright, .accent, .ok, .warning, .error, .tableRow, .tableMarked]
        for role in words + StateLook.allCases.map(\.role) {
            let ink = try #require(theme[role].foreground.shown)
            let ratio = Palette.contrast(ink, ground)
            #expect(ratio >= 4.5, "\(role.rawValue) of \(name) has \(ratio)")
        }
    }

    @Test(arguments: BuiltInThemeTests.painted)
    func `no cell falls back to the terminal's own colours`(name: String) throws {
        let theme = try builtIn(name)
        let marked: Set<Role> = [.stripBadge, .tableSelected, .tableMatch, .dialogFocus, .dagSelected, .logCritical]
        for role in Role.allCases {
            guard case .rgb = theme[role].foreground.form, case .rgb = theme[role].background.form else {
                Issue.record("\(role.rawValue) of \(name) is not painted")
                continue
            }
            let isGround = theme[role].background == theme[.text].background
            #expect(isGround != marked.contains(role), "\(role.rawValue) of \(name)")
        }
    }

    @Test func `tty16 keeps to sixteen inks on eight grounds`() throws {
        let theme = try builtIn("tty16")
        for role in Role.allCases {
            guard case .index(let ink) = theme[role].foreground.form, case .index(let ground) = theme[role].background.form else {
                Issue.record("\(role.rawValue) is not of the palette")
                continue
            }
            #expect(ink < 16 && ground < 8, "\(role.rawValue) is \(ink) on \(ground)")
        }
    }

    @Test func `mono has no colours and still tells apart what matters`() throws {
        let theme = try builtIn("mono")
        for role in Role.allCases {
            #expect(theme[role].foreground == .standard && theme[role].background == .standard, "\(role.rawValue)")
        }
        let pairs: [(Role, Role)] = [
            (.tableSelected, .tableRow), (.dagSelected, .dagNode), (.dialogFocus, .dialogText), (.stripStale, .stripLive),
            (.crumbCurrent, .crumb), (.stateFail, .stateOK), (.logError, .logInfo), (.boxFocus, .boxBorder), (.tableMatch, .tableRow),
        ]
        for (one, other) in pairs {
            #expect(theme[one] != theme[other], "\(one.rawValue) and \(other.rawValue)")
        }
    }

    @Test(arguments: BuiltInThemeTests.names)
    func `the seven states differ in their characters, of one column each`(name: String) throws {
        let theme = try builtIn(name)
        for level in GlyphLevel.allCases {
            let glyphs = StateLook.allCases.map { theme.glyph($0, level) }
            #expect(Set(glyphs).count == 7, "\(name) at \(level.rawValue): \(glyphs)")
            for glyph in glyphs {
                #expect(CharacterWidth.of(String(glyph)) == 1, "\(name) at \(level.rawValue): \(glyph)")
                if level == .ascii { #expect(glyph.isASCII, "\(name): \(glyph)") }
            }
        }
    }

    @Test(arguments: BuiltInThemeTests.names)
    func `without colours the selected row still differs`(name: String) throws {
        let theme = try builtIn(name)
        let bare = theme.withoutColors
        for role in Role.allCases {
            #expect(bare[role].foreground == .standard && bare[role].background == .standard, "\(role.rawValue) of \(name)")
        }
        let pairs: [(Role, Role)] = [(.tableSelected, .tableRow), (.dagSelected, .dagNode), (.dialogFocus, .dialogText)]
        for (one, other) in pairs {
            #expect(bare[one].attributes.contains(.reverse), "\(one.rawValue) of \(name)")
            #expect(!bare[other].attributes.contains(.reverse), "\(other.rawValue) of \(name)")
        }
        #expect(bare[.stateFail] != bare[.stateOK])
        for state in StateLook.allCases { #expect(bare.glyph(state, .braille) == theme.glyph(state, .braille)) }
    }
}

/// The two themes for eyes that lack a kind of cone.
struct ColorVisionTests {
    @Test func `the simulation hides what such eyes do not see`() {
        let (brick, olive) = (UInt32(0xCC3322), UInt32(0x887711))
        #expect(ColorVision.normal.distance(brick, olive) > 50)
        #expect(ColorVision.deuteranopia.distance(brick, olive) < 5)
        #expect(ColorVision.tritanopia.distance(brick, olive) > 50)
        let (blue, teal) = (UInt32(0x2F86C8), UInt32(0x1F9096))
        #expect(ColorVision.normal.distance(blue, teal) > 30)
        #expect(ColorVision.tritanopia.distance(blue, teal) < 10)
        #expect(ColorVision.deuteranopia.distance(blue, teal) > 25)
        for vision in ColorVision.allCases { #expect(vision.distance(0x000000, 0xFFFFFF) > 99) }
    }

    static let themes: [(String, [ColorVision])] = [
        ("deuteranopia", [.normal, .deuteranopia, .protanopia]), ("tritanopia", [.normal, .tritanopia]),
    ]

    @Test(arguments: ColorVisionTests.themes)
    func `good, bad and in between stay far apart`(name: String, visions: [ColorVision]) throws {
        let theme = try builtIn(name)
        let triples: [[Role]] = [
            [.stateOK, .stateWarn, .stateFail], [.ok, .warning, .error], [.gradientLow, .gradientMiddle, .gradientHigh],
        ]
        for vision in visions {
            for triple in triples {
                let inks = try triple.map { role in try #require(theme[role].foreground.shown) }
                let distances = [vision.distance(inks[0], inks[1]), vision.distance(inks[1], inks[2]), vision.distance(inks[0], inks[2])]
                let least = distances.min() ?? 0
                #expect(least >= 30, "\(name), \(vision): \(triple[0].rawValue) and on are \(distances) apart")
            }
        }
    }
}

/// Reading of theme files, distric-theme(5).
struct ThemeReadingTests {
    @Test func `colours are names of the palette, hexadecimal, numbers or the terminal's own`() throws {
        let theme = try parsed(
            """
            name = "dusk"
            background = "light"
            [palette]
            ink = "#D8dee9"
            sea = 24
            [style]
            "base.text" = "$ink on $sea"
            "base.dim" = "255 on default +dim +italic"
            "base.bright" = 0
            "base.error" = "default on #000001 +bold +underline +reverse"
            """)
        #expect(theme.name == "dusk")
        #expect(theme.isLight)
        #expect(theme[.text] == Style(.rgb(0xD8DEE9), on: .index(24)))
        #expect(theme[.dim] == Style(.index(255), on: .standard, [.dim, .italic]))
        #expect(theme[.bright] == Style(.index(0)))
        #expect(theme[.error] == Style(.standard, on: .rgb(1), [.bold, .underline, .reverse]))
    }

    @Test func `a group speaks for its roles, a role for itself wherever it stands`() throws {
        let theme = try parsed(
            """
            [style]
            "table.selected" = "on 4 +bold"
            table = "7 on 0 +dim"
            "table.header" = "12"
            """)
        #expect(theme[.tableRow] == Style(.index(7), on: .index(0), [.dim]))
        #expect(theme[.tableSelected] == Style(.index(7), on: .index(4), [.bold]))
        #expect(theme[.tableHeader] == Style(.index(12), on: .index(0)))
        #expect(theme[.text] == Style())
    }

    @Test func `what a file leaves out comes from the base`() throws {
        let base = try builtIn(Themes.standard)
        let theme = try parsed(
            """
            name = "mine"
            [style]
            "base.dim" = "#808080"
            [state.ok]
            glyph = "+"
            """, over: base)
        #expect(theme.name == "mine")
        #expect(theme.isLight == base.isLight)
        #expect(theme[.dim].foreground == .rgb(0x808080))
        #expect(theme[.dim].background == base[.dim].background)
        for role in Role.allCases where role != .dim { #expect(theme[role] == base[role], "\(role.rawValue)") }
        #expect(theme.glyph(.ok, .block) == "+")
        #expect(theme.glyph(.ok, .ascii) == base.glyph(.ok, .ascii))
        for state in StateLook.allCases where state != .ok { #expect(theme.glyph(state, .block) == base.glyph(state, .block)) }
        #expect(try parsed("", over: base) == base)
    }

    static let mistakes: [(text: String, line: Int, says: String)] = [
        ("name = \"dusk\"\n[style]\n\"base.dimm\" = \"7\"", 3, "no role 'base.dimm'; did you mean 'base.dim'?"),
        ("[style]\nbase = \"7\"\n\"zebra\" = \"7\"", 3, "no role 'zebra'; see distric-theme(5)"),
        ("[style]\n\n\"base.dim\" = \"grey\"", 3, "'grey' is no colour; write #rrggbb, 0 to 255, $name or default"),
        ("[style]\nbase = \"7 on 256\"", 2, "'256' is no colour"), ("[style]\nbase = \"#12345\"", 2, "'#12345' is no colour"),
        ("[style]\nbase = \"#12345g\"", 2, "'#12345g' is no colour"), ("[style]\nbase = -1", 2, "'-1' is no colour"),
        ("[palette]\nink = \"blueish\"", 2, "'blueish' is no colour"),
        ("[palette]\nink = \"#d8dee9\"\n[style]\nbase = \"$inc\"", 4, "the palette has no 'inc'; did you mean '$ink'?"),
        ("[style]\nbase = \"7 on $night\"", 2, "the palette has no 'night'"),
        ("[style]\nbase = \"7 +blink\"", 2, "no attribute '+blink'; there are +bold, +dim, +italic, +underline, +reverse"),
        ("[style]\nbase = true", 2, "expected text, found a bool"), ("style = 3", 1, "'style' must be a table"),
        ("\n[state.fail]\nglyph = \"失\"", 3, "'失' is not one character of one column"),
        ("[state.fail]\nglyph = \"xx\"", 2, "'xx' is not one character of one column"),
        ("[state.fail]\nglyph = \"✗\"\nascii = \"✗\"", 3, "'✗' is not ASCII"),
        ("[state.fail]\nsymbol = \"x\"", 2, "unknown key 'symbol'; a state has glyph and ascii"),
        ("[state.broken]\nglyph = \"x\"", 1, "no state 'broken'; there are ok, run, wait, warn, fail, unknown, off"),
        ("background = \"grey\"", 1, "'grey' is neither dark nor light"),
        ("background = \"dark\"\nnmae = \"dusk\"", 2, "unknown key 'nmae'; did you mean 'name'?"),
        ("background = \"dark\"\n[colours]\nink = \"7\"", 2, "unknown key 'colours'"),
        ("name = \"dusk\"\nthis is not TOML\n", 2, "not TOML: "),
    ]

    @Test func `a mistake is named with its file and line`() throws {
        for (text, line, says) in Self.mistakes {
            let found = try #require(throws: Diagnostic.self) { try parsed(text) }
            #expect(found.file == "dusk.toml")
            #expect(found.position?.line == line, "\(text): \(found)")
            #expect(found.message.hasPrefix(says), "\(text): \(found)")
        }
    }

    @Test func `bytes that are no text, or too many, are refused`() throws {
        let broken = try #require(throws: Diagnostic.self) { try Theme(toml: [0x6E, 0x22, 0xFF, 0xFE, 0x22], file: "dusk.toml") }
        #expect(broken.file == "dusk.toml")
        #expect(broken.message.contains("not UTF-8"))
        let spaces = [UInt8](repeating: 0x20, count: 1 << 20 + 1)
        let huge = try #require(throws: Diagnostic.self) { try Theme(toml: spaces, file: "dusk.toml") }
        #expect(huge.message.contains("1 MiB"))
    }
}

/// Man/distric-theme.5 against the code.
struct ThemeManualTests {
    private func manual() throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return try String(contentsOf: root.appending(path: "Man/distric-theme.5"), encoding: .utf8)
    }

    @Test func `it names every role, state and built-in theme`() throws {
        let words = Set(try manual().split(whereSeparator: \.isWhitespace).map(String.init))
        for role in Role.allCases { #expect(words.contains(role.rawValue), "\(role.rawValue)") }
        for state in StateLook.allCases { #expect(words.contains(state.rawValue), "\(state.rawValue)") }
        for theme in Themes.all { #expect(words.contains(theme.name), "\(theme.name)") }
    }

    @Test func `it names no role that there is not`() throws {
        let groups = Set(Role.allCases.compactMap { $0.rawValue.split(separator: ".").first })
        for word in try manual().split(whereSeparator: \.isWhitespace) {
            let parts = word.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 2, groups.contains(parts[0]), !parts[1].isEmpty else { continue }
            #expect(Role(rawValue: String(word)) != nil, "\(word)")
        }
    }

    @Test func `its example is a theme`() throws {
        let text = try manual()
        let start = try #require(text.range(of: ".Bd -literal -offset indent\n# dusk"))
        let rest = text[start.upperBound...]
        let end = try #require(rest.range(of: "\n.Ed"))
        let example = "# dusk" + String(rest[..<end.lowerBound])
        let theme = try parsed(example, over: try builtIn(Themes.standard))
        #expect(theme.name == "dusk")
        for role in Role.allCases where theme[role].foreground != .standard {
            let (ratio, least) = (contrast(role, theme), role.isLine ? 3 : 4.5)
            #expect(ratio >= least, "\(role.rawValue) has \(ratio)")
        }
    }
}
