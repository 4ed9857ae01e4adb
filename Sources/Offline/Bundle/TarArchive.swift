import Observability

/// A tar archive (POSIX ustar) of regular files, gzipped. Names up to 255 bytes as ustar splits them, sizes below 8 GiB.
package struct TarArchive: Sendable {
    /// What a name cannot be.
    package struct BadName: Error, Equatable {
        package let name: String
    }

    private static let block = 512
    private var bytes: [UInt8] = []

    package init() {}

    /// - Parameter seconds: when the file was changed, since 1970.
    package mutating func add(_ name: String, _ content: [UInt8], mode: UInt32 = 0o600, seconds: Int) throws(BadName) {
        bytes += try Self.header(name, content.count, mode, seconds)
        bytes += content
        bytes += [UInt8](repeating: 0, count: (Self.block - content.count % Self.block) % Self.block)
    }

    /// The whole archive: two empty blocks end it.
    package var packed: [UInt8] { Gzip.pack(bytes + [UInt8](repeating: 0, count: Self.block * 2)) }

    private static func header(_ name: String, _ size: Int, _ mode: UInt32, _ seconds: Int) throws(BadName) -> [UInt8] {
        let (prefix, short) = try split(name)
        var header = [UInt8](repeating: 0, count: block)
        func put(_ text: some Collection<UInt8>, at place: Int) { header.replaceSubrange(place..<place + text.count, with: text) }
        func octal(_ number: Int, _ digits: Int, at place: Int) {
            let text = String(number, radix: 8)
            put((String(repeating: "0", count: max(0, digits - text.count)) + text.suffix(digits)).utf8, at: place)
        }
        put(short, at: 0)
        octal(Int(mode), 7, at: 100)
        octal(0, 7, at: 108)
        octal(0, 7, at: 116)
        octal(size, 11, at: 124)
        octal(max(0, seconds), 11, at: 136)
        put("        ".utf8, at: 148)
        put("0".utf8, at: 156)
        put("ustar".utf8, at: 257)
        put("00".utf8, at: 263)
        put(prefix, at: 345)
        let sum = header.reduce(0) { $0 + Int($1) }
        octal(sum, 6, at: 148)
        header[154] = 0
        return header
    }

    /// A name of more than 100 bytes is split at a slash: up to 155 before it, up to 100 after.
    private static func split(_ name: String) throws(BadName) -> (prefix: [UInt8], name: [UInt8]) {
        let all = Array(name.utf8)
        guard !all.isEmpty, !all.contains(0), all[0] != UInt8(ascii: "/") else { throw BadName(name: name) }
        guard all.count > 100 else { return ([], all) }
        for place in all.indices
        where all[place] == UInt8(ascii: "/") && place <= 155 && all.count - place - 1 <= 100 && place + 1 < all.count {
            return (Array(all[..<place]), Array(all[(place + 1)...]))
        }
        throw BadName(name: name)
    }
}
