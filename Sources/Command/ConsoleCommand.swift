import ArgumentParser
import Cells
import Definitions
import DistriC
import Foundation
import Glibc
import Operator
import Primitives
import Terminal

/// Runs command lines by this program's own parser.
struct ProgramRunner: CommandRunner {
    func run(_ arguments: [String]) async -> Int32 { await Distric.run(arguments) }

    /// Made when it is first asked for: it costs a third of a start.
    var index: CommandIndex { Self.known }
    private static let known = CommandIndex(json: Distric._dumpHelp()) ?? CommandIndex()
}

/// What console and demo share: how it looks and what it may do.
struct ConsoleOptions: ParsableArguments {
    @Option(name: .long, help: "Theme: a name (see :theme) or a path (default: $DISTRIC_THEME, then distric-dark).") var theme: String?
    @Flag(name: .long, help: "Change nothing on the cluster; cannot be lifted from within.") var readOnly = false
    @Option(name: .long, help: "First view: \(View.top.map(\.rawValue).joined(separator: ", ")).") var view: String = "pulse"
    @Option(name: .long, help: "Show this thing of the view: a run's id, a task's, a message's.") var subject: String?
    @Option(name: .long, help: "Filter of the first view.") var filter: String = ""
    @Flag(name: .long, help: "Print the view once and end.") var once = false
    @Option(name: .long, help: "Print the view once as txt, ansi or json and end.") var snapshot: Format?
    @Option(name: .long, help: "Columns and rows for --once and --snapshot, as 120x40.") var size: String?
    @Flag(name: .long, help: "Plain lines instead of a screen: for screen readers, pipes and dumb terminals.") var linear = false
    @Flag(name: .customLong("no-mouse"), help: "Leave the mouse to the terminal.") var noMouse = false
    @Flag(name: .long, help: "Draw with ASCII characters only.") var ascii = false

    enum Format: String, CaseIterable, ExpressibleByArgument { case txt, ansi, json }

    func validate() throws {
        guard Self.view(view) != nil else {
            let names = View.allCases.filter { $0 != .output }.map(\.rawValue)
            let meant =
                suggestion(for: view, among: names).map { "; did you mean '\($0)'?" } ?? "; there are \(names.joined(separator: ", "))"
            throw ValidationError("no view '\(view)'\(meant)")
        }
        if let view = Self.view(view), !view.isTop, subject?.isEmpty ?? true {
            throw ValidationError("--view \(view.rawValue) wants --subject: which \(view.rawValue) it is")
        }
        if let size, Self.size(size) == nil { throw ValidationError("--size '\(size)': write COLUMNSxROWS, as 120x40, up to 1000x500") }
    }

    /// What a command printed is no view to begin with.
    static func view(_ name: String) -> View? { View(rawValue: name).flatMap { $0 == .output ? nil : $0 } }

    static func size(_ text: String) -> Size? {
        let parts = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 2, let width = parts[0], let height = parts[1], (1...1000).contains(width), (1...500).contains(height) else {
            return nil
        }
        return Size(width, height)
    }

    /// False where a view is printed, as a whole or as lines.
    var wantsScreen: Bool {
        guard !once, snapshot == nil, !linear, isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1 else { return false }
        return Session.current.environment["TERM"] ?? "dumb" != "dumb"
    }

    var place: Place {
        var place = Place(Self.view(view) ?? .pulse, subject ?? "")
        place.filter = filter
        return place
    }
}

/// `distric console`, and plain `distric`.
struct ConsoleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "console", abstract: "The console: on a node of its own, or with --connect on a running cluster.",
        discussion: """
              distric                                   a node in $XDG_STATE_HOME/distric/node, and its console
              distric console --connect prod-1:8080     a running cluster
              distric console --view runs --snapshot txt --size 120x40

            ? lists the keys, : takes a view or any command, / filters, q leaves.
            """)
    @Option(name: .long, help: "URL of a node, or several with commas; without it a node is started in this process.") var connect: String?
    @Option(name: .long, help: "A cluster by its name in contexts.toml; one that is protected is looked at read-only.") var context: String?
    @Flag(name: .long, help: "Start a node in this process, though contexts.toml has a current context.") var embed = false
    @Flag(name: .long, help: "Keep the embedded node's data in a temporary folder that goes away with it.") var ephemeral = false
    @OptionGroup var options: ConsoleOptions

    @concurrent
    func run() async throws {
        let found =
            connect == nil && !ephemeral && !embed ? try ClusterContext.find(context, environment: Session.current.environment) : nil
        if let found {
            var running = ConsoleRunning(options: options, url: found.urls.joined(separator: ","), context: found.name, hasTour: false)
            running.isProtected = found.isProtected
            running.theme = found.theme
            return try await running.run()
        }
        var node: EmbeddedNode?
        if connect == nil {
            node = try await EmbeddedNode.start(
                data: nil, temporary: ephemeral, takesSignals: !options.wantsScreen)
        }
        let url = connect ?? node?.url ?? ""
        do {
            try await ConsoleRunning(options: options, url: url, context: connect == nil ? "embedded" : "", hasTour: false).run()
        } catch {
            await node?.stop()
            throw error
        }
        await node?.stop()
    }
}

/// A console as its options want it: on the terminal, printed once, or as lines.
struct ConsoleRunning: Sendable {
    let options: ConsoleOptions
    let url: String
    let context: String
    let hasTour: Bool
    /// Of a demo with members that can be killed.
    var isDemo = false
    var isProtected = false
    var theme: String?

    func run() async throws {
        var session = Session.current
        session.url = url
        session.isReadOnly = options.readOnly || isProtected
        let environment = session.environment
        let client = NodeClient(url: url, timeout: .seconds(10), isReadOnly: session.isReadOnly)
        let runner = ProgramRunner()
        let themes = ThemeLibrary(environment: environment, program: OwnProgram.path ?? "")
        var settings = ConsoleState.Settings(url: client.url, context: context)
        settings.isReadOnly = session.isReadOnly
        settings.isProtected = isProtected
        settings.hasTour = hasTour
        settings.isDemo = isDemo
        let isUTF8 = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap { environment[$0] }.first { !$0.isEmpty }.map {
            $0.uppercased().contains("UTF-8") || $0.uppercased().contains("UTF8")
        }
        // The console of Linux has blocks and no braille.
        settings.glyphs = options.ascii || isUTF8 == false ? .ascii : environment["TERM"] == "linux" ? .block : .braille
        let (keymap, problem) = themes.keymap()
        settings.keymap = keymap
        let name = options.theme ?? theme ?? environment["DISTRIC_THEME"].flatMap { $0.isEmpty ? nil : $0 } ?? themes.standard.name
        if options.once || options.snapshot != nil { return try await printOnce(settings, client, themes, name) }
        guard options.wantsScreen else { return try await linear(settings, client, runner, session) }
        let surroundings = ConsoleApp.Surroundings(
            client: client, runner: runner, session: session, themes: themes, themeName: name, usesMouse: !options.noMouse)
        let (place, fixed) = (options.place, settings)
        let opened = Opened()
        await TerminalLoop.run {
            guard let app = ConsoleApp(surroundings, settings: fixed, place: place) else { return NoScreen() }
            opened.isOpen = true
            if let problem { app.complain(problem.description + "; the standard keys are used") }
            return app
        }
        if !opened.isOpen {
            session.note("distric: TERM=\(environment["TERM"] ?? "") cannot place its cursor; going on with --linear\n")
            try await linear(settings, client, runner, session)
        }
    }

    private func state(_ settings: ConsoleState.Settings, _ size: Size) -> ConsoleState {
        var state = ConsoleState(
            settings: settings, size: size, now: ClusterTime(milliseconds: UInt64(max(0, Date().timeIntervalSince1970 * 1000))))
        state.stack = [options.place]
        return state
    }

    private func printOnce(_ settings: ConsoleState.Settings, _ client: NodeClient, _ themes: ThemeLibrary, _ name: String) async throws {
        let width = Output.width
        let size = options.size.flatMap(ConsoleOptions.size) ?? Size(width > 0 ? width : 120, 40)
        let state = await ConsoleSnapshot.take(state(settings, size), client: client)
        guard let found = themes.find(name) else {
            throw CommandFailure(.usage, "no theme '\(name)'; there are \(themes.names.joined(separator: ", "))")
        }
        if let problem = found.problem { throw CommandFailure(.badData, problem.description) }
        let theme = (Session.current.environment["NO_COLOR"] ?? "").isEmpty ? found.theme : found.theme.withoutColors
        let format = options.snapshot.flatMap { ConsoleSnapshot.Format(rawValue: $0.rawValue) } ?? (width > 0 ? .ansi : .txt)
        let text = options.linear ? ConsoleSnapshot.linear(state) : ConsoleSnapshot.text(state, theme: theme, format: format)
        // Colours are ours: they go past what keeps a task's escape sequences from the terminal.
        if format == .ansi { Output.write(text, to: 1) } else { Session.current.out(text) }
        try refuseNoData(state)
    }

    /// A view without data has failed as what asked for it did.
    private func refuseNoData(_ state: ConsoleState) throws(CommandFailure) {
        if case .none(let failure) = state.freshness { throw CommandFailure(failure.code, "no data: \(failure.message)") }
    }

    /// A view as lines; then, on a terminal, a prompt that takes views and commands.
    private func linear(_ settings: ConsoleState.Settings, _ client: NodeClient, _ runner: ProgramRunner, _ session: Session) async throws {
        var asked = state(settings, Size(120, 40))
        asked.settings.commands = runner.index
        asked.wantsWholeLists = true
        var state = await ConsoleSnapshot.take(asked, client: client)
        session.out(ConsoleSnapshot.linear(state))
        guard isatty(STDIN_FILENO) == 1 else { return try refuseNoData(state) }
        session.note("a view (\(View.top.map(\.rawValue).joined(separator: ", "))), any command, or quit\n")
        var shown: Place?
        while true {
            session.note("distric> ")
            guard let line = readLine() else { return }
            let words = line.split(separator: " ")
            if words.count == 1, View(rawValue: String(words[0])) != nil { shown = nil } else { shown = state.place }
            state.now = ClusterTime(milliseconds: UInt64(max(0, Date().timeIntervalSince1970 * 1000)))
            var effects = state.run(line: line)
            if case .dialog(let dialog) = state.mode {
                session.note(dialog.question)
                effects = state.answer(line: readLine() ?? "")
            }
            for effect in effects {
                switch effect {
                case .quit: return
                case .run(let arguments):
                    let own = session
                    _ = await Session.$current.withValue(own) { await runner.run(arguments) }
                case .save(let name):
                    do {
                        try Data(ConsoleSnapshot.file(name, state, theme: .plain).utf8).write(to: URL(filePath: name))
                        session.note("saved as \(name)\(ConsoleSnapshot.missing(name, state))\n")
                    } catch { session.note("cannot write \(name): \(error.localizedDescription)\n") }
                case .edit, .copy, .theme, .suspend, .redraw: session.note("not without a screen\n")
                }
            }
            if let toast = state.toast {
                session.note(toast.text + "\n")
                state.toast = nil
            }
            // A view, or another filter or order of it, is shown at once.
            guard shown != state.place else { continue }
            state.forgetData()
            state = await ConsoleSnapshot.take(state, client: client)
            shown = state.place
            session.out(ConsoleSnapshot.linear(state))
        }
    }
}

/// Whether the screen could be opened, told across threads.
private final class Opened: @unchecked Sendable { var isOpen = false }

/// Nothing to serve.
@TerminalActor
private final class NoScreen: LoopDelegate {
    let isFinished = true
    func inputReady() {}
    func noted(_ note: LoopNote) {}
    func idle() -> Int32 { 0 }
}
