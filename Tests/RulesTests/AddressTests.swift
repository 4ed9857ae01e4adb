import Rules
import Testing

/// RFC 4632 for IPv4 blocks, RFC 4291 for IPv6 addresses and prefixes.
struct AddressTests {
    private func holds(_ blocks: String, _ address: String) throws -> Bool {
        let when = #"{"field": "data.ip", "operator": "cidr", "value": \#(blocks)}"#
        return try condition(when).holds(for: message(#"{"ip": "\#(address)"}"#))
    }

    static let within: [(String, [String])] = [
        ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3", "::ffff:a01:203"]), ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"]),
        ("192.168.1.128/25", ["192.168.1.128", "192.168.1.255"]), ("192.168.1.5", ["192.168.1.5"]), ("192.168.1.5/32", ["192.168.1.5"]),
        ("172.16.0.0/12", ["172.16.0.1", "172.31.255.255"]), ("10.1.2.3/8", ["10.9.9.9"]),
        ("2001:db8::/32", ["2001:db8::1", "2001:DB8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:0db8:0:0:0:0:0:1"]), ("::/0", ["::", "1.2.3.4"]),
        ("::1", ["::1", "0:0:0:0:0:0:0:1"]), ("fe80::/10", ["fe80::1", "febf::1"]), ("2001:db8::/127", ["2001:db8::", "2001:db8::1"]),
        ("::ffff:10.0.0.0/104", ["10.1.2.3"]), ("1::8", ["1:0:0:0:0:0:0:8"]), ("1:2:3:4:5:6:7::", ["1:2:3:4:5:6:7:0"]),
        ("64:ff9b::192.0.2.33", ["64:ff9b::c000:221"]),
    ]

    @Test(arguments: AddressTests.within)
    func `these lie within the block`(block: String, addresses: [String]) throws {
        for address in addresses {
            let found = try holds("\"\(block)\"", address)
            #expect(found, "\(address)")
        }
    }

    static let outside: [(String, [String])] = [
        (
            "10.0.0.0/8",
            ["11.0.0.0", "9.255.255.255", "::1", "::10.0.0.1", "10.0.0", "10.0.0.0.0", "10.0.0.256", "010.0.0.1", " 10.0.0.1", "", "x"]
        ),
        ("0.0.0.0/0", ["::1", "2001:db8::1", "1.2.3", "1.2.3.4/32"]), ("192.168.1.128/25", ["192.168.1.127", "192.168.2.128"]),
        ("172.16.0.0/12", ["172.32.0.0", "172.15.255.255"]), ("2001:db8::/32", ["2001:db9::", "2001:db7:ffff::", "1.2.3.4"]),
        ("fe80::/10", ["fec0::", "fe7f::"]), ("2001:db8::/127", ["2001:db8::2"]),
        (
            "::/0",
            [":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "g::", "1:2:3:4:5:6:7:8::", "::1%eth0", "[::1]"]
        ),
    ]

    @Test(arguments: AddressTests.outside)
    func `these do not, or are no addresses`(block: String, addresses: [String]) throws {
        for address in addresses {
            let found = try holds("\"\(block)\"", address)
            #expect(!found, "\(address)")
        }
    }

    @Test func `a list of blocks means any of them`() throws {
        let blocks = #"["10.0.0.0/8", "2001:db8::/32"]"#
        let cases: [(String, Bool)] = [("10.1.1.1", true), ("2001:db8::5", true), ("11.1.1.1", false)]
        for (address, expected) in cases {
            let found = try holds(blocks, address)
            #expect(found == expected, "\(address)")
        }
    }

    @Test func `what is no block is refused`() {
        for text in [
            "", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0/8", "::/129", "x", "/8", "10.0.0.0/a",
            "1.2.3.4.5",
            "::1::", " 10.0.0.0/8",
        ] {
            #expect(AddressBlock(text) == nil, "'\(text)'")
        }
        for text in ["10.0.0.0/8", "10.0.0.0", "::", "::/0", "::/128", "0.0.0.0/0", "2001:db8::1"] {
            #expect(AddressBlock(text) != nil, "'\(text)'")
        }
    }
}
