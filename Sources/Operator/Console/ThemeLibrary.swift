package import Definitions
import Foundation
import Primitives
import Themes

/// Finds themes: a path, the user's folder, beside the program, the system's folders, then those that the program carries.
package struct ThemeLibrary: Sendable {
    package struct Found: Sendable {
        package var theme: Theme
        /// Of a file that is looked at again when it changes.
        package var path: String?
        package var problem: Diagnostic?
    }

    private let environment: [String: String]
    private let program: String

    package init(environment: [String: String], program: String) {
        self.environment = environment
        self.program = program
    }

    private var folders: [String] {
        let home = environment["HOME"] ?? "/"
        let config = environment["XDG_CONFIG_HOME"].flatMap { $0.isEmpty ? nil : $0 } ?? home + "/.config"
        let data = environment["XDG_DATA_DIRS"].flatMap { $0.isEmpty ? nil : $0 } ?? "/usr/local/share:/usr/share"
        let beside = URL(filePath: program).deletingLastPathComponent().deletingLastPathComponent().appending(path: "share").path(
            percentEncoded: false)
        return [config, beside].map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }.map { $0 + "/distric/themes" }
            + data.split(separator: ":").map { "\($0)/distric/themes" }
    }

    /// Every name that there is, the built-in ones first.
    package var names: [String] {
        var names = Themes.all.map(\.name)
        for folder in folders {
            for file in (try? FileManager.default.contentsOfDirectory(atPath: folder))?.sorted() ?? [] where file.hasSuffix(".toml") {
                let name = String(file.dropLast(5))
                if !names.contains(name) { names.append(name) }
            }
        }
        return names
    }

    /// The standard one; what it lacks is plain.
    package var standard: Theme {
        guard let item = Themes.all.first, let theme = try? Theme(toml: item.toml, file: "built-in \(item.name)") else { return .plain }
        return theme
    }

    /// A file with errors keeps the standard look, and says what is wrong. Nil when there is no such theme.
    package func find(_ name: String) -> Found? {
        if name.contains("/") || name.hasSuffix(".toml") { return read(name) }
        for folder in folders {
            let path = "\(folder)/\(name).toml"
            if FileManager.default.fileExists(atPath: path) { return read(path) }
        }
        guard let item = Themes.all.first(where: { $0.name == name }) else { return nil }
        do throws(Diagnostic) {
            return Found(theme: try Theme(toml: item.toml, file: "built-in \(name)", over: standard), path: nil, problem: nil)
        } catch {
            return Found(theme: standard, path: nil, problem: error)
        }
    }

    private func read(_ path: String) -> Found? {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        do throws(Diagnostic) {
            return Found(theme: try Theme(toml: [UInt8](data), file: path, over: standard), path: path, problem: nil)
        } catch {
            return Found(theme: standard, path: path, problem: error)
        }
    }

    /// `keys.toml` of the user; the standard with the reason when it cannot be taken.
    package func keymap() -> (Keymap, Diagnostic?) {
        let home = environment["HOME"] ?? "/"
        let config = environment["XDG_CONFIG_HOME"].flatMap { $0.isEmpty ? nil : $0 } ?? home + "/.config"
        let path = "\(config)/distric/keys.toml"
        guard let data = FileManager.default.contents(atPath: path) else { return (.standard, nil) }
        do throws(Diagnostic) { return (try Keymap(toml: [UInt8](data), file: path), nil) } catch { return (.standard, error) }
    }
}
