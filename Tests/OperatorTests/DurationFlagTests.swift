import ArgumentParser
import Testing

@testable import Operator

/// Lengths of time on the command line have a unit (DurationFlag.swift).
struct DurationFlagTests {
    private func refusal(_ text: String, allowsNone: Bool = false, atMost: Duration? = nil) -> String? {
        do {
            _ = try DurationFlag.read(text, of: "--wait", allowsNone: allowsNone, atMost: atMost, example: "250ms or 5s")
            return nil
        } catch {
            return (error as? ValidationError)?.message
        }
    }

    @Test(arguments: [
        ("50ms", Duration.milliseconds(50)), ("5s", .seconds(5)), ("1h30m", .seconds(5400)), ("PT2M", .seconds(120)),
        ("0.5s", .milliseconds(500)),
    ])
    func `one with a unit is read`(text: String, duration: Duration) throws {
        #expect(try DurationFlag.read(text, of: "--wait", example: "5s") == duration)
    }

    @Test(arguments: ["50", "1", "0.5", "0.001", "600000", "1h30"])
    func `a bare number is asked about`(text: String) {
        let wanted =
            text == "1h30" ? "--wait '1h30' is no duration; write 250ms or 5s" : "--wait '\(text)' has no unit: say \(text)ms or \(text)s"
        #expect(refusal(text) == wanted)
        #expect(refusal(text, allowsNone: true, atMost: .seconds(600))?.hasPrefix("--wait '\(text)' ") == true)
    }

    @Test func `zero needs no unit, where it will do`() throws {
        for text in ["0", "0s", "0ms"] {
            #expect(try DurationFlag.read(text, of: "--wait", allowsNone: true, example: "5s") == .zero)
            #expect(refusal(text) == "--wait '\(text)' is no duration; write 250ms or 5s")
        }
    }

    @Test func `what is too long or is none at all says what would do`() {
        #expect(refusal("11m", atMost: .seconds(600)) == "--wait '11m' is no duration up to 10m; write 250ms or 5s")
        for text in ["", "soon", "-5s", "5 s", "\u{1B}[2J"] {
            #expect(refusal(text)?.hasSuffix("is no duration; write 250ms or 5s") == true, "\(text)")
        }
    }

    @Test(arguments: [
        ["chaos", "link", "c-2", "--delay", "50"], ["chaos", "disk", "--stall", "250", "--once"],
        ["chaos", "disk", "--stall", "250ms", "--every", "5"], ["status", "--timeout", "5"], ["traces", "list", "--min", "50"],
    ])
    func `every flag for one is read so`(words: [String]) {
        let number = words.last { Int($0) != nil } ?? ""
        #expect {
            _ = try Commands.parseAsRoot(words)
        } throws: { error in
            Commands.message(for: error).contains("'\(number)' has no unit: say \(number)ms or \(number)s")
                && Commands.exitCode(for: error) == .validationFailure
        }
    }

    private struct Commands: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "distric", subcommands: OperatorCommands.all)
    }
}
