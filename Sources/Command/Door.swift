import ArgumentParser
import DistriC
import Foundation
import Worker

@main
struct Door {
    static func main() async {
        Guard.runIfAsked(CommandLine.arguments)
        do {
            let settings = try Settings(
                file: nil, environment: ProcessInfo.processInfo.environment,
                flags: [("node.data", "--data", "/tmp/dd"), ("worker.allow_exec", "--x", "/usr/bin/*")])
            try await Node(settings: settings, guardProgram: CommandLine.arguments[0]).run()
        } catch { print(error) }
    }
}
