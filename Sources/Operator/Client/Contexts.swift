import Definitions
import Foundation
import Primitives
import Text

/// Clusters by name: `$XDG_CONFIG_HOME/distric/contexts.toml`.
///
///     current = "dev"
///     [contexts.prod]
///     urls = ["http://10.0.0.1:8080", "http://10.0.0.2:8080"]
///     theme = "high-contrast"
///     protected = true            # nothing is changed there without --yes
package struct ClusterContext: Equatable, Sendable {
    package var name: String
    package var urls: [String]
    package var theme: String?
    package var isProtected: Bool

    /// The context that a command means: the one asked for, `$DISTRIC_CONTEXT`, the file's current one; nil when there is none.
    package static func find(_ asked: String?, environment: [String: String]) throws(CommandFailure) -> ClusterContext? {
        let named = asked ?? environment["DISTRIC_CONTEXT"].flatMap { $0.isEmpty ? nil : $0 }
        let path = path(environment)
        guard let data = FileManager.default.contents(atPath: path) else {
            guard let named else { return nil }
            throw CommandFailure(.badConfiguration, "there is no context '\(named)': \(path) does not exist")
        }
        let all: (contexts: [ClusterContext], current: String?)
        do throws(Diagnostic) { all = try read([UInt8](data), file: path) } catch {
            throw CommandFailure(.badConfiguration, error.description)
        }
        guard let name = named ?? all.current else { return nil }
        guard let found = all.contexts.first(where: { $0.name == name }) else {
            let names = all.contexts.map(\.name)
            let meant =
                suggestion(for: name, among: names).map { "; did you mean '\($0)'?" } ?? "; there are \(names.joined(separator: ", "))"
            throw CommandFailure(.badConfiguration, "\(path) has no context '\(name)'\(meant)")
        }
        return found
    }

    private static func path(_ environment: [String: String]) -> String {
        let home = environment["HOME"] ?? "/"
        let config = environment["XDG_CONFIG_HOME"].flatMap { $0.isEmpty ? nil : $0 } ?? home + "/.config"
        return config + "/distric/contexts.toml"
    }

    static func read(_ bytes: [UInt8], file: String) throws(Diagnostic) -> (contexts: [ClusterContext], current: String?) {
        let value = try TOMLReader.read(bytes, file: file)
        let lines = TOMLLines(bytes)
        func problem(_ key: String, _ message: String, in table: String? = nil) -> Diagnostic {
            Diagnostic(file: file, position: lines.position(of: key, in: table), message: message)
        }
        for member in value.map?.members ?? [] where member.key != "current" && member.key != "contexts" {
            throw problem(member.key, "unknown key '\(member.key)'; there are current and contexts")
        }
        var contexts: [ClusterContext] = []
        for member in value["contexts"]?.map?.members ?? [] {
            var context = ClusterContext(name: member.key, urls: [], theme: nil, isProtected: false)
            for field in member.value.map?.members ?? [] {
                switch field.key {
                case "urls": context.urls = (field.value.list ?? [field.value]).compactMap(\.string)
                case "theme": context.theme = field.value.string
                case "protected":
                    guard let flag = field.value.bool else {
                        throw problem("protected", "protected is true or false", in: "contexts.\(member.key)")
                    }
                    context.isProtected = flag
                default:
                    throw problem(
                        field.key, "unknown key '\(field.key)' of context '\(member.key)'; there are urls, theme and protected",
                        in: "contexts.\(member.key)")
                }
            }
            guard !context.urls.isEmpty else { throw problem("contexts.\(member.key)", "context '\(member.key)' has no urls") }
            contexts.append(context)
        }
        return (contexts, value["current"]?.string)
    }
}
