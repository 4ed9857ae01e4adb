import Cells
import Definitions
import Foundation
import Glibc
import Operator
import Primitives
import Synchronization
import Terminal

/// The console on a terminal: keys and feeds in, frames and effects out. All of it on the terminal's thread.
@TerminalActor
final class ConsoleApp: LoopDelegate {
    /// Where and how it runs.
    struct Surroundings: Sendable {
        var client: NodeClient
        var runner: ProgramRunner
        var session: Session
        var themes: ThemeLibrary
        var themeName: String
        var usesMouse: Bool
    }

    private static let leastFrameGap: Int64 = 33
    private let surroundings: Surroundings
    private let screen: CursesScreen
    private let reader: KeyReader
    private var state: ConsoleState
    private var theme: Theme
    private var themePath: String?
    private var themeDate: Date?
    private var hub: FeedHub?
    private let inbox = Inbox()
    private var isDirty = true
    private var knowsCommands = false
    private var lastFrame: Int64 = 0
    private var lastSecond: Int64 = -1
    private var wanted: [FeedRequest] = []
    private var refusedEdits: Set<String> = []
    private let editFolder = FileManager.default.temporaryDirectory.appending(path: "distric-edit-\(getpid())")
    private(set) var isFinished = false
    private var commands: AsyncStream<[String]>.Continuation?
    private var work: [Task<Void, Never>] = []

    init?(_ surroundings: Surroundings, settings: ConsoleState.Settings, place: Place) {
        guard let screen = CursesScreen(environment: surroundings.session.environment, mouse: surroundings.usesMouse) else { return nil }
        self.surroundings = surroundings
        self.screen = screen
        reader = KeyReader(screen)
        var settings = settings
        if !screen.isUnicode { settings.glyphs = .ascii }
        settings.themes = surroundings.themes.names
        let found = surroundings.themes.find(surroundings.themeName)
        theme = Self.fitted(found?.theme ?? surroundings.themes.standard, screen.depth, surroundings.themes)
        themePath = found?.path
        state = ConsoleState(settings: settings, size: screen.size, now: Self.now)
        state.stack = [place]
        if let problem = found?.problem { state.complain(problem.description) }
        if found == nil { state.complain("no theme '\(surroundings.themeName)'; the standard one is used") }
        let inbox = inbox
        hub = FeedHub(client: surroundings.client) { key, update in
            if inbox.put(.feed(key, update)) { Task { @TerminalActor in } }
        }
        startWork()
    }

    /// A look that the terminal can show.
    private static func fitted(_ theme: Theme, _ depth: ColorDepth, _ themes: ThemeLibrary) -> Theme {
        switch depth {
        case .none: theme.withoutColors
        case .sixteen: theme.name == "mono" ? theme : themes.find("tty16")?.theme ?? theme
        case .indexed256, .direct: theme
        }
    }

    private static var now: ClusterTime { ClusterTime(milliseconds: UInt64(max(0, Date().timeIntervalSince1970 * 1000))) }

    /// Something is wrong with the files that the console was started with.
    func complain(_ problem: String) { state.complain(problem) }

    // MARK: The loop

    func idle() -> Int32 {
        let now = Self.now
        let milliseconds = Int64(now.milliseconds)
        if milliseconds / 1000 != lastSecond {
            lastSecond = milliseconds / 1000
            _ = state.update(.tick(now))
            reloadThemeIfChanged()
            isDirty = true
        }
        takeInbox()
        guard !isFinished else { return 0 }
        var wait = 1000 - milliseconds % 1000
        if isDirty {
            let gap = milliseconds - lastFrame
            if gap >= Self.leastFrameGap || gap < 0 {
                follow()
                screen.present(state.draw(theme: theme))
                lastFrame = milliseconds
                isDirty = false
                // What can be typed costs a third of a start, and the first frame does not need it; the first key does.
                if !knowsCommands {
                    knowsCommands = true
                    _ = state.update(.commands(surroundings.runner.index))
                }
            } else {
                wait = min(wait, Self.leastFrameGap - gap)
            }
        }
        return Int32(max(1, wait))
    }

    /// Keys are answered at once, whatever the last frame was.
    func inputReady() {
        takeInbox()
        var count = 0
        while count < 4096, let key = reader.next() {
            count += 1
            perform(state.update(.key(key)))
            if isFinished { return }
        }
        guard count > 0 else { return }
        lastFrame = 0
        isDirty = true
    }

    func noted(_ note: LoopNote) {
        if note.contains(.terminate) || note.contains(.hangup) { return finish() }
        if note.contains(.interrupt) { perform(state.update(.key(.control("c")))) }
        if note.contains(.stop) { screen.suspend() }
        if note.contains(.resumed) { screen.resume() }
        if note.contains(.resized) { screen.refreshSize() }
        perform(state.update(.resized(screen.size)))
        lastFrame = 0
        isDirty = true
    }

    private func takeInbox() {
        let (events, isOverfull) = inbox.take()
        for event in events {
            if case .finished(let result) = event { noteEdit(result) }
            perform(state.update(event))
        }
        if !events.isEmpty { isDirty = true }
        if isOverfull {
            hub?.close()
            wanted = []
            isDirty = true
        }
    }

    /// Opens the streams that the screen wants now.
    private func follow() {
        let now = state.wantedFeeds
        guard now != wanted else { return }
        wanted = now
        hub?.want(now)
    }

    private func finish() {
        guard !isFinished else { return }
        isFinished = true
        if refusedEdits.isEmpty { try? FileManager.default.removeItem(at: editFolder) }
        hub?.close()
        commands?.finish()
        for task in work { task.cancel() }
        screen.close()
    }

    // MARK: Effects

    private func perform(_ effects: [ConsoleEffect]) {
        for effect in effects {
            switch effect {
            case .quit: return finish()
            case .suspend: screen.suspend()
            case .redraw: screen.repaint()
            case .run(let arguments):
                if case .dropped? = commands?.yield(arguments) {
                    perform(state.update(.finished(.init(arguments: arguments, code: 75, out: "", problem: "too many commands wait"))))
                }
            case .edit(let kind, let name, let namespace): edit(kind, name, namespace)
            case .copy(let text): screen.sendControl("\u{1B}]52;c;\(Data(text.utf8).base64EncodedString())\u{07}")
            case .save(let name): save(name)
            case .theme(let name): choose(name)
            }
        }
    }

    /// What is on the screen; as data also the rows around it, which are fetched first.
    private func save(_ name: String) {
        guard ConsoleSnapshot.isData(name) else { return write(name, state) }
        var whole = state
        whole.wantsWholeLists = true
        let (asked, client) = (whole, surroundings.client)
        state.say("fetching the rows")
        Task.detached {
            let filled = await ConsoleSnapshot.take(asked, client: client)
            await self.write(name, filled)
        }
    }

    private func write(_ name: String, _ state: ConsoleState) {
        do {
            try Data(ConsoleSnapshot.file(name, state, theme: theme).utf8).write(to: URL(filePath: name))
            self.state.say("saved as \(name)\(ConsoleSnapshot.missing(name, state))")
        } catch {
            self.state.say("cannot write \(name): \(error.localizedDescription)", isProblem: true)
        }
        isDirty = true
    }

    /// Command lines one after the other, beside the screen.
    private func startWork() {
        let (lines, continuation) = AsyncStream.makeStream(of: [String].self, bufferingPolicy: .bufferingOldest(5000))
        commands = continuation
        let (runner, session, inbox) = (surroundings.runner, surroundings.session, inbox)
        let running = Task.detached {
            for await arguments in lines {
                let result = await runner.captured(arguments, in: session)
                inbox.force(.finished(result))
                await Self.wake()
            }
        }
        let facts = LiveFacts(session: session)
        let naming = Task.detached {
            while !Task.isCancelled {
                await facts.fetchAll()
                inbox.force(.names(facts.names))
                await Self.wake()
                try? await Task.sleep(for: .seconds(10))
            }
        }
        work = [running, naming]
    }

    private static func wake() async {}

    // MARK: Themes

    private func choose(_ name: String) {
        guard let found = surroundings.themes.find(name) else { return state.say("no theme '\(name)'", isProblem: true) }
        use(found)
        state.say(found.problem?.description ?? "theme \(name)", isProblem: found.problem != nil)
    }

    private func use(_ found: ThemeLibrary.Found) {
        if found.problem == nil { theme = Self.fitted(found.theme, screen.depth, surroundings.themes) }
        themePath = found.path
        themeDate = nil
        isDirty = true
    }

    /// A file that was changed is read again; with a mistake in it the look stays as it is.
    private func reloadThemeIfChanged() {
        guard let themePath, let date = try? FileManager.default.attributesOfItem(atPath: themePath)[.modificationDate] as? Date else {
            return
        }
        defer { themeDate = date }
        guard let before = themeDate, before != date, let found = surroundings.themes.find(themePath) else { return }
        use(found)
        if let problem = found.problem { state.say(problem.description, isProblem: true) } else { state.say("theme read again") }
    }

    // MARK: Editing

    /// The terminal is the editor's until it ends; the streams are closed meanwhile.
    private func edit(_ kind: String, _ name: String, _ namespace: String) {
        let path = kind == "workflow" ? "workflows" : "rules"
        let (runner, session, inbox) = (surroundings.runner, surroundings.session, inbox)
        state.say("fetching \(name)")
        Task.detached {
            let space = namespace.isEmpty || namespace == "default" ? [] : ["-n", namespace]
            let result = await runner.captured([path, "show", name] + space, in: session)
            guard result.code == 0 else {
                inbox.force(.note(result.problem, isProblem: true))
                return await Self.wake()
            }
            await self.openEditor(kind, name, namespace, result.out)
        }
    }

    /// A text that the node refused is there again at the next edit; one that was applied is no longer needed.
    private func noteEdit(_ result: CommandResult) {
        guard result.arguments.count > 2, result.arguments[1] == "apply",
            result.arguments[2].hasPrefix(editFolder.path(percentEncoded: false))
        else { return }
        if result.code == 0 {
            refusedEdits.remove(result.arguments[2])
            try? FileManager.default.removeItem(atPath: result.arguments[2])
        } else {
            refusedEdits.insert(result.arguments[2])
        }
    }

    private func openEditor(_ kind: String, _ name: String, _ namespace: String, _ text: String) {
        guard !isFinished else { return }
        let folder = editFolder
        let words = [namespace.isEmpty ? "default" : namespace, kind.replacing(" ", with: ""), name.replacing("/", with: "-")]
        let file = folder.appending(path: words.joined(separator: ".") + ".yaml")
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            if !refusedEdits.contains(file.path(percentEncoded: false)) { try Data(text.utf8).write(to: file) }
        } catch {
            return state.say("cannot write \(file.path(percentEncoded: false)): \(error.localizedDescription)", isProblem: true)
        }
        let environment = surroundings.session.environment
        let editor = [environment["VISUAL"], environment["EDITOR"]].compactMap { $0 }.first { !$0.isEmpty } ?? "vi"
        hub?.close()
        wanted = []
        let status = screen.lend { system("\(editor) \(ShellWords.quoted(file.path(percentEncoded: false)))") }
        perform(state.update(.resized(screen.size)))
        isDirty = true
        lastFrame = 0
        guard status == 0 else { return state.say("\(editor) ended with an error; nothing was changed", isProblem: true) }
        guard let after = try? String(contentsOf: file, encoding: .utf8), after != text else { return state.say("nothing was changed") }
        perform(state.update(.edited(path: file.path(percentEncoded: false), kind: kind, name: name, namespace: namespace)))
    }
}

/// Events on their way to the terminal's thread.
private final class Inbox: Sendable {
    /// Updates that may wait; beyond it the streams are opened anew, since a change that is lost makes all after it wrong.
    private static let limit = 4096

    private struct State {
        var events: [ConsoleEvent] = []
        var isOverfull = false
    }

    private let state = Mutex(State())

    /// True when the thread must be woken.
    func put(_ event: ConsoleEvent) -> Bool {
        state.withLock { state in
            guard !state.isOverfull else { return false }
            guard state.events.count < Self.limit else {
                state.events.removeAll { if case .feed = $0 { true } else { false } }
                state.isOverfull = true
                return true
            }
            state.events.append(event)
            return state.events.count == 1
        }
    }

    /// For what must not be lost, and is rare; the next tick finds it at the latest.
    func force(_ event: ConsoleEvent) { state.withLock { $0.events.append(event) } }

    func take() -> ([ConsoleEvent], Bool) {
        state.withLock { state in
            defer { state = State() }
            return (state.events, state.isOverfull)
        }
    }
}
