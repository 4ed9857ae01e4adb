import Foundation
import Glibc
import Operator
import Primitives
import Testing

/// The console and its terminal: left as it was found, and read whatever it is.
struct ConsoleTerminalTests {
    /// Tells the modes before and after a command, and its exit code.
    private static let around = """
        #!/bin/sh
        ulimit -c 0
        stty -a > before
        "$@"
        echo "left with $?"
        stty -a > after
        cmp -s before after && echo "the modes are the same"

        """

    /// What a program may have switched on: the other screen, mouse reports, keys of the keypad; and the cursor, switched off.
    private func modes(_ screen: TmuxScreen) throws -> [String] {
        try ["alternate_on", "mouse_any_flag", "mouse_sgr_flag", "keypad_cursor_flag", "keypad_flag", "cursor_flag"].map(screen.fact)
    }

    @Test func `quitting, two Ctrl-C, TERM, HUP and a crash leave the terminal as it was`() async throws {
        let stage = try await Stage()
        guard let screen = try TmuxScreen(90, 30) else { return }
        try Self.around.write(toFile: screen.folder.path + "/around", atomically: true, encoding: .utf8)
        let before = try modes(screen)
        #expect(before.first == "0" && before.last == "1")
        let ways: [(name: String, code: Int32, act: () async throws -> Void)] = [
            ("q", 0, { try screen.keys("q") }), ("Ctrl-C twice", 0, { try screen.keys("C-c", "C-c") }),
            ("TERM", 0, { kill(try await screen.distric(), SIGTERM) }), ("HUP", 0, { kill(try await screen.distric(), SIGHUP) }),
            ("SEGV", 128 + SIGSEGV, { kill(try await screen.distric(), SIGSEGV) }),
            ("ABRT", 128 + SIGABRT, { kill(try await screen.distric(), SIGABRT) }),
        ]
        for way in ways {
            try screen.line("clear; sh around distric console --connect \(stage.node.url)")
            try await screen.wait(for: "LIVE", "cluster > pulse")
            #expect(try modes(screen).first == "1")
            try await way.act()
            let left = try await screen.wait(until: "the end after \(way.name)") { $0.hasLine("left with ") && $0.rows.last == "$" }
            #expect(left.hasLine("left with \(way.code)"), "\(way.name): \(left)")
            #expect(left.hasLine("the modes are the same"), "\(way.name): \(left)")
            #expect(!left.contains("cluster >"), "\(way.name): \(left)")
            #expect(try modes(screen) == before, "\(way.name)")
        }
    }

    @Test func `Ctrl-Z gives the terminal to the shell and fg takes it back, as do STOP and CONT`() async throws {
        let stage = try await Stage()
        guard let screen = try TmuxScreen(90, 30) else { return }
        let before = try modes(screen)
        try screen.line("stty -a > before; distric console --connect \(stage.node.url)")
        try await screen.wait(for: "LIVE", "cluster > pulse")
        try screen.keys("3")
        try await screen.wait(for: "cluster > pulse > tasks", "✗ failed")
        for way in ["Ctrl-Z", "STOP"] {
            if way == "STOP" { kill(try await screen.distric(), SIGSTOP) } else { try screen.keys("C-z") }
            if way == "Ctrl-Z" {
                let shell = try await screen.wait(until: "the shell's prompt") { $0.contains("Stopped") && $0.rows.last == "$" }
                #expect(!shell.contains("cluster >"), "\(shell)")
                try screen.line("stty -a > after; cmp before after && echo the modes are the same")
                try await screen.wait(until: "the shell's answer") { $0.hasLine("the modes are the same") }
                #expect(try modes(screen) == before)
            }
            // Meanwhile the window becomes another one.
            try screen.resize(way == "STOP" ? 90 : 120, 30)
            try screen.line("fg")
            let back = try await screen.wait(until: "the console after \(way)") { screen in
                screen.rows.count == 30 && screen.contains(" LIVE ") && screen.rows.last?.hasPrefix("─ cluster > pulse > tasks ─") == true
            }
            #expect(back.rows.first?.count == (way == "STOP" ? 90 : 120), "\(back)")
            #expect(try modes(screen).first == "1")
        }
        try screen.keys("Enter")
        try await screen.wait(for: "> task …")
        try screen.line(":quit")
        try await screen.wait(until: "the shell's prompt") { $0.rows.last == "$" }
        #expect(try modes(screen) == before)
    }

    @Test func `a terminal that is none gets lines, and a prompt that takes views and commands`() async throws {
        let stage = try await Stage()
        guard let screen = try stage.console(120, 60, term: "dumb") else { return }
        let first = try await screen.wait(for: "leader n1", "a view (pulse, nodes", "\ndistric>")
        #expect(first.contains("run \(stage.bad) of bad: failed"), "\(first)")
        #expect(try screen.fact("alternate_on") == "0")
        #expect(!first.contains("─") && !first.contains("│"), "\(first)")
        try screen.line("raft")
        try await screen.wait(until: "the view as lines") { $0.contains("raft\n") && $0.contains("quorum") }
        try screen.line("runs retry \(stage.bad)")
        try await screen.wait(for: "y to go on")
        try screen.line("y")
        try await screen.wait(until: "the new run") { $0.contains(#/run [0-9a-f-]{36} /#) }
        try screen.line("quit")
        try await screen.ends()
    }

    @Test func `pipes get lines; NO_COLOR and the theme mono give no colour`() async throws {
        let stage = try await Stage()
        let piped = try stage.node.distric("console")
        #expect(piped.code == 0)
        #expect(piped.out.hasPrefix("pulse\nleader n1\n"), "\(piped.out)")
        #expect(piped.out.utf8.allSatisfy { $0 >= 32 || $0 == 10 })
        let colors = #/(\e\[|;)(3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]/#
        guard let colored = try stage.console(90, 30) else { return }
        try await colored.wait(for: "LIVE", "✗ failed")
        #expect(try colored.text(colored: true).contains(colors))
        guard let plain = try stage.console(90, 30, environment: ["NO_COLOR": "1"]) else { return }
        try await plain.wait(for: "LIVE", "✗ failed")
        #expect(try !plain.text(colored: true).contains(colors))
        // State is told without colour too.
        #expect(try plain.text().contains("● leader"))
    }

    @Test func `themes change at a word; a broken theme or keys file is told by file and line, and the standard stays`() async throws {
        let stage = try await Stage()
        let settings = stage.folder.path + "/c"
        try FileManager.default.createDirectory(atPath: settings + "/distric/themes", withIntermediateDirectories: true)
        let keys = settings + "/distric/keys.toml"
        try "[keys]\nquit = \"Q\"\nretry = \"Q\"\n".write(toFile: keys, atomically: true, encoding: .utf8)
        try "[style]\n\n\"no-such-role\" = \"red\"\n"
            .write(toFile: settings + "/distric/themes/broken.toml", atomically: true, encoding: .utf8)
        guard let screen = try stage.console(220, 30, ["--view", "runs"], environment: ["XDG_CONFIG_HOME": settings]) else { return }
        try await screen.wait(for: "LIVE", "\(keys):3:", "'Q' would mean both quit and retry")
        func look() throws -> String {
            try screen.text(colored: true).split(separator: "\n").first { $0.contains("› ") }.map { "\($0)" } ?? ""
        }
        let dark = try look()
        try screen.line(":theme distric-ligth")
        try await screen.wait(for: "no theme 'distric-ligth'; did you mean 'distric-light'?")
        #expect(try look() == dark)
        try screen.line(":theme bro\t")
        try await screen.wait(for: "broken.toml:3:", "no-such-role")
        #expect(try look() == dark)
        try screen.line(":theme distric-light")
        try await screen.wait(for: "theme distric-light ")
        let light = try look()
        #expect(light != dark && light.contains("38;5"))
        // The standard keys are in force.
        try screen.keys("q")
        try await screen.ends()
        // A good file is: q does nothing, Q leaves, and help says so.
        try "[keys]\nquit = \"Q\"\n".write(toFile: keys, atomically: true, encoding: .utf8)
        guard let other = try stage.console(100, 30, environment: ["XDG_CONFIG_HOME": settings]) else { return }
        try await other.wait(for: "LIVE", "Q quit")
        try other.keys("q", "?")
        try await other.wait(until: "the new key in help") { $0.contains(#/  Q +on a top view leave the console/#) }
        try other.keys("Escape", "Q")
        try await other.ends()
    }

    @Test func `a node that stalls or dies is told so, and the console goes on with it when it is back`() async throws {
        let stage = try await Stage()
        guard let screen = try stage.console(90, 30, ["--view", "runs"]) else { return }
        let shown = String(stage.bad.suffix(9))
        try await screen.wait(for: "LIVE", shown)
        let process = stage.node.process.processIdentifier
        kill(process, SIGSTOP)
        try await screen.wait(until: "STALE while the node stalls") { $0.contains(#/STALE \d+s/#) && $0.contains(shown) }
        // Keys are answered all the same.
        try screen.type(":nod")
        try await screen.wait(until: "the palette") { $0.rows.last?.hasPrefix(":nodes") == true }
        try screen.keys("Escape")
        kill(process, SIGCONT)
        try await screen.wait(for: " LIVE ", shown)
        stage.crash()
        try await screen.wait(until: "STALE after the node's death") { $0.contains(#/STALE \d+s/#) && $0.contains(shown) }
        try screen.line(":workflows")
        try await screen.wait(for: "NO DATA", "no data: \(stage.node.url) cannot be reached: connection refused")
        try stage.restart()
        try await screen.wait(for: " LIVE ", "cluster > workflows", "good", "bad")
        try screen.line(":quit")
        try await screen.ends()
    }
}
