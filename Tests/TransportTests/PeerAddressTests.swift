import Testing

@testable import Transport

/// Where calls are taken (PeerAddress.swift).
struct PeerAddressTests {
    static let good: [(String, PeerAddress)] = [
        ("127.0.0.1:9000", .tcp(host: "127.0.0.1", port: 9000)), ("node-1", .tcp(host: "node-1", port: PeerAddress.standardPort)),
        ("node-1.example:1", .tcp(host: "node-1.example", port: 1)), ("localhost:0", .tcp(host: "localhost", port: 0)),
        ("h:65535", .tcp(host: "h", port: 65_535)), ("[::1]:9001", .tcp(host: "::1", port: 9001)),
        ("[fe80::1]", .tcp(host: "fe80::1", port: PeerAddress.standardPort)),
        ("unix:/run/distric/rpc.sock", .unix(path: "/run/distric/rpc.sock")), ("unix:a b", .unix(path: "a b")),
        ("unix:" + String(repeating: "a", count: 107), .unix(path: String(repeating: "a", count: 107))),
    ]

    @Test(arguments: PeerAddressTests.good)
    func `an address is read, and says what it is`(text: String, expected: PeerAddress) throws {
        let address = try PeerAddress(text)
        #expect(address == expected)
        let again = try PeerAddress(address.description)
        #expect(again == address)
    }

    static let bad = [
        "", ":", ":80", "h:", "h:65536", "h:-1", "h:+80", "h:8o", "h: 80", "h :80", "a b", "h:99999999999999999999", "[]", "[]:80", "[::1",
        // Whose last part is the port is not to be seen.
        "::1", "::1:9000", "http://h:80", "/run/rpc.sock", "[::1]:", "[::1]x", "[::1]80", "[::1]:80:90", "unix:",
        "unix:" + String(repeating: "a", count: 108),
        "unix:" + String(repeating: "é", count: 54),
    ]

    @Test(arguments: PeerAddressTests.bad)
    func `what is no address is refused by name`(text: String) {
        do throws(TransportError) {
            let address = try PeerAddress(text)
            Issue.record("'\(text)' was taken for \(address)")
        } catch {
            #expect(error == .badAddress(text))
            #expect(error.description.hasPrefix("'\(text)' is no address"))
        }
    }
}
