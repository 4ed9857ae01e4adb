import Foundation
import Glibc
import Primitives
import Testing
import Text

/// `distric certs`: the files, what stands in them, and what is refused.
struct CertsCommandTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func certs(_ words: String...) throws -> Finished {
        try run(Built.distric, ["certs"] + words, in: folder.path)
    }

    private func permissions(_ path: String) throws -> mode_t {
        var info = stat()
        let found = stat("\(folder.path)/\(path)", &info)
        try #require(found == 0, "\(path) is not there")
        return info.st_mode & 0o777
    }

    private func text(_ path: String) throws -> String { try String(contentsOfFile: "\(folder.path)/\(path)", encoding: .utf8) }

    private func names(_ path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "\(folder.path)/\(path)").sorted()
    }

    private func shown(_ paths: String...) throws -> [Value] {
        let finished = try run(Built.distric, ["certs", "show", "-o", "json"] + paths, in: folder.path)
        #expect(finished.code == 0, "\(finished.err)")
        return try #require(try JSONScanner.parse(finished.out).list)
    }

    // MARK: What is made

    @Test(arguments: [["certs"], ["certs", "init"], ["certs", "issue"], ["certs", "show"]])
    func `every command has help`(_ words: [String]) throws {
        let finished = try run(Built.distric, words + ["--help"])
        #expect(finished.code == 0)
        #expect(finished.out.contains("distric certs issue") || finished.out.contains("distric certs init") || words.last == "show")
        #expect(finished.out.contains("USAGE: distric \(words.joined(separator: " "))"))
    }

    @Test func `init makes an authority whose key is its owner's alone, whatever the umask`() throws {
        for mask in ["000", "022", "077"] {
            let made = try run(
                "/bin/sh", ["-c", "umask \(mask); exec \"$0\" certs init --dir u\(mask)", Built.distric], in: folder.path)
            #expect(made.code == 0, "\(made.err)")
            #expect(made.out == "u\(mask)/ca.pem\nu\(mask)/ca-key.pem\n")
            #expect(made.err.contains("distric certs issue --dir u\(mask) --node ID"), "\(made.err)")
            #expect(try names("u\(mask)") == ["ca-key.pem", "ca.pem"])
            #expect(try permissions("u\(mask)/ca.pem") == 0o644)
            #expect(try permissions("u\(mask)/ca-key.pem") == 0o600)
        }
    }

    @Test func `issue makes a node's certificate and its key, and says what to set`() throws {
        #expect(try certs("init").code == 0)
        let made = try certs("issue", "--node", "n1", "--host", "n1.example.net,10.0.0.1", "--host", "fd00::1, n1.example.net")
        #expect(made.code == 0, "\(made.err)")
        #expect(made.out == "certs/n1.pem\ncerts/n1-key.pem\n")
        for setting in ["rpc.tls_certificate", "rpc.tls_key", "rpc.tls_authority"] {
            #expect(made.err.contains("\(setting) = \"/"), "\(made.err)")
        }
        #expect(try permissions("certs/n1.pem") == 0o644)
        #expect(try permissions("certs/n1-key.pem") == 0o600)
        #expect(try names("certs") == ["ca-key.pem", "ca.pem", "n1-key.pem", "n1.pem"])
        #expect(try text("certs/n1.pem").components(separatedBy: "-----BEGIN").count == 2)
        #expect(try text("certs/n1-key.pem").hasPrefix("-----BEGIN PRIVATE KEY-----\n"))
    }

    @Test func `show says what is in each certificate`() throws {
        #expect(try certs("init", "--name", "Shop", "--days", "1000").code == 0)
        #expect(try certs("issue", "--node", "n1", "--host", "n1.example.net,10.0.0.1,fd00::1").code == 0)
        #expect(try certs("issue", "--client", "ada", "--days", "30", "--out", "hers/own").code == 0)
        let rows = try shown("certs/ca.pem", "certs/n1.pem", "hers/own/ada.pem")
        #expect(rows.map { $0["subject"]?.string } == ["CN=Shop", "CN=n1", "CN=ada"])
        #expect(rows.map { $0["issuer"]?.string } == ["CN=Shop", "CN=Shop", "CN=Shop"])
        #expect(rows.map { $0["identity"]?.string } == [nil, "distric://node/n1", "distric://client/ada"])
        #expect(rows[1]["hosts"]?.list?.compactMap(\.string) == ["n1.example.net", "10.0.0.1", "fd00::1"])
        #expect(rows[2]["hosts"]?.list?.isEmpty == true)
        #expect(rows.compactMap { $0["daysLeft"]?.int } == [999, 396, 29])
        #expect(rows.map { $0["file"]?.string } == ["certs/ca.pem", "certs/n1.pem", "hers/own/ada.pem"])
        #expect(Set(rows.compactMap { $0["serial"]?.string }).count == 3)
        #expect(rows.allSatisfy { $0["fingerprint"]?.string?.split(separator: ":").count == 32 })
        let begin = try #require(rows[1]["notBefore"]?.string.flatMap { try? Date($0, strategy: .iso8601) })
        #expect((200...360).contains(Date().timeIntervalSince(begin)))
        let table = try certs("show", "certs/n1.pem")
        #expect(table.out.hasPrefix("FILE "))
        #expect(table.out.contains("distric://node/n1"))
        #expect(try certs("show", "certs/n1.pem", "-o", "name").out == "CN=n1\n")
    }

    @Test func `several certificates of a file are a row each, and the authority's is the one of the key`() throws {
        #expect(try certs("init", "--dir", "old", "--name", "Old").code == 0)
        #expect(try certs("init", "--dir", "new", "--name", "New").code == 0)
        let both = try text("old/ca.pem") + text("new/ca.pem")
        try both.write(toFile: folder.path + "/new/ca.pem", atomically: true, encoding: .utf8)
        #expect(try shown("new/ca.pem").map { $0["subject"]?.string } == ["CN=Old", "CN=New"])
        #expect(try certs("issue", "--dir", "new", "--node", "n1").code == 0)
        #expect(try shown("new/n1.pem").map { $0["issuer"]?.string } == ["CN=New"])
    }

    @Test func `nothing is in force longer than what signed it`() throws {
        #expect(try certs("init", "--days", "10").code == 0)
        let made = try certs("issue", "--node", "n1")
        #expect(made.code == 0, "\(made.err)")
        #expect(made.err.contains("when its authority ends"), "\(made.err)")
        let rows = try shown("certs/ca.pem", "certs/n1.pem")
        #expect(rows[0]["notAfter"]?.string != nil)
        #expect(rows[0]["notAfter"]?.string == rows[1]["notAfter"]?.string)
        #expect(try !certs("issue", "--node", "n2", "--days", "3").err.contains("when its authority ends"))
        #expect(try shown("certs/n2.pem").first?["daysLeft"]?.int == 2)
    }

    // MARK: As openssl reads it

    @Test func `openssl verifies what was issued, and reads the same`() throws {
        guard let openssl = Built.tool("openssl") else { return }
        #expect(try certs("init").code == 0)
        #expect(try certs("issue", "--node", "n1", "--host", "n1.example.net,10.0.0.1,::1").code == 0)
        #expect(try certs("issue", "--client", "ada").code == 0)
        func said(_ words: String...) throws -> Finished { try run(openssl, words, in: folder.path) }
        for (purpose, file, isFit) in [
            ("sslserver", "n1", true), ("sslclient", "n1", true), ("sslclient", "ada", true), ("sslserver", "ada", false),
        ] {
            let verified = try said("verify", "-x509_strict", "-CAfile", "certs/ca.pem", "-purpose", purpose, "certs/\(file).pem")
            #expect((verified.code == 0) == isFit, "\(purpose) \(file): \(verified.out)\(verified.err)")
        }
        let node = try said("x509", "-in", "certs/n1.pem", "-noout", "-text").out
        for part in [
            "Version: 3", "URI:distric://node/n1, DNS:n1.example.net, IP Address:10.0.0.1, IP Address:0:0:0:0:0:0:0:1",
            "TLS Web Server Authentication, TLS Web Client Authentication", "CA:FALSE", "ecdsa-with-SHA256", "prime256v1",
            "Digital Signature", "Authority Key Identifier", "Subject Key Identifier",
        ] { #expect(node.contains(part), "\(part): \(node)") }
        let client = try said("x509", "-in", "certs/ada.pem", "-noout", "-text").out
        #expect(client.contains("URI:distric://client/ada"))
        #expect(!client.contains("TLS Web Server Authentication"))
        let authority = try said("x509", "-in", "certs/ca.pem", "-noout", "-text").out
        #expect(authority.contains("CA:TRUE, pathlen:0"))
        #expect(authority.contains("Certificate Sign, CRL Sign"))
        for name in ["ca", "n1", "ada"] {
            let certified = try said("x509", "-in", "certs/\(name).pem", "-noout", "-pubkey")
            let own = try said("pkey", "-in", "certs/\(name)-key.pem", "-pubout")
            #expect(own.code == 0 && own.out == certified.out, "\(own.err)")
        }
        let row = try #require(try shown("certs/n1.pem").first)
        let print = try said("x509", "-in", "certs/n1.pem", "-noout", "-fingerprint", "-sha256", "-serial").out
        #expect(print.contains("=\(row["fingerprint"]?.string ?? "none")\n"), "\(print)")
        #expect(print.contains("serial=\(row["serial"]?.string ?? "none")\n"), "\(print)")
    }

    @Test func `what another authority signed does not verify`() throws {
        guard let openssl = Built.tool("openssl") else { return }
        #expect(try certs("init", "--dir", "a").code == 0)
        #expect(try certs("init", "--dir", "b").code == 0)
        #expect(try certs("issue", "--dir", "a", "--node", "n1").code == 0)
        #expect(try run(openssl, ["verify", "-CAfile", "a/ca.pem", "a/n1.pem"], in: folder.path).code == 0)
        #expect(try run(openssl, ["verify", "-CAfile", "b/ca.pem", "a/n1.pem"], in: folder.path).code != 0)
    }

    // MARK: Refusals

    @Test func `nothing is written over without --force, and all of it with`() throws {
        #expect(try certs("init").code == 0)
        #expect(try certs("issue", "--node", "n1").code == 0)
        let before = try ["ca.pem", "ca-key.pem", "n1.pem", "n1-key.pem"].map { try text("certs/\($0)") }
        for words in [["init"], ["issue", "--node", "n1"], ["issue", "--client", "n1"]] {
            let again = try run(Built.distric, ["certs"] + words, in: folder.path)
            #expect(again.code == 73, "\(words)")
            #expect(again.err.contains("is there already; --force replaces it"), "\(again.err)")
            #expect(again.out.isEmpty)
        }
        // One of the two is in the way.
        try FileManager.default.removeItem(atPath: folder.path + "/certs/n1-key.pem")
        #expect(try certs("issue", "--node", "n1").code == 73)
        #expect(try names("certs") == ["ca-key.pem", "ca.pem", "n1.pem"])
        #expect(try text("certs/n1.pem") == before[2])
        #expect(try certs("issue", "--node", "n1", "--force").code == 0)
        #expect(try certs("init", "--force").code == 0)
        let after = try ["ca.pem", "ca-key.pem", "n1.pem", "n1-key.pem"].map { try text("certs/\($0)") }
        #expect(zip(before, after).allSatisfy { $0 != $1 })
        #expect(try permissions("certs/n1-key.pem") == 0o600)
    }

    private static let misuses: [[String]] = [
        ["init", "--days", "0"], ["init", "--days", "36501"], ["init", "--days=-1"], ["init", "--dir", ""], ["init", "--name", ""],
        ["init", "--name", "two\nlines"], ["init", "--name", String(repeating: "x", count: 65)], ["issue"], ["show"],
        ["issue", "--node", "n1", "--client", "c1"], ["issue", "--node", "n1", "--days", "0"], ["issue", "--node", "BAD ID"],
        ["issue", "--node", ""], ["issue", "--node", "../n1"], ["issue", "--client", "a/b"], ["issue", "--client", "Ada"],
        ["issue", "--node", "ca", "--force"], ["issue", "--node", "n1-key"], ["issue", "--client", "ca-key", "--force"],
        ["issue", "--node", "n1", "--host", "n1:8443"], ["issue", "--node", "n1", "--host", "10.0.0.256"],
        ["issue", "--node", "n1", "--host", "a,,b"], ["issue", "--node", "n1", "--host", "-a.example"],
        ["issue", "--node", "n1", "--out", ""],
    ]

    @Test(arguments: misuses) func `what cannot be meant exits 64 and writes nothing`(_ words: [String]) throws {
        #expect(try certs("init", "--dir", "there").code == 0)
        let finished = try run(
            Built.distric, ["certs"] + words + (words[0] == "issue" ? ["--dir", "there"] : []), in: folder.path)
        #expect(finished.code == 64, "\(finished.err)")
        #expect(!finished.err.isEmpty)
        #expect(finished.out.isEmpty)
        #expect(try names("") == ["there"])
        #expect(try names("there") == ["ca-key.pem", "ca.pem"])
    }

    @Test func `without an authority it says what to type`() throws {
        let missing = try certs("issue", "--node", "n1", "--dir", "none", "--out", "new")
        #expect(missing.code == 65)
        #expect(missing.err.contains("none/ca.pem: No such file"), "\(missing.err)")
        #expect(missing.err.contains("'distric certs init --dir none' makes one"), "\(missing.err)")
        #expect(try names("") == [])
        #expect(try certs("init").code == 0)
        try FileManager.default.removeItem(atPath: folder.path + "/certs/ca-key.pem")
        let half = try certs("issue", "--node", "n1")
        #expect(half.code == 65)
        #expect(half.err.contains("certs/ca-key.pem: No such file"), "\(half.err)")
    }

    @Test func `an authority that is none signs nothing`() throws {
        #expect(try certs("init", "--dir", "a").code == 0)
        #expect(try certs("init", "--dir", "b").code == 0)
        #expect(try certs("issue", "--dir", "a", "--node", "n1", "--out", "leaf").code == 0)
        let manager = FileManager.default
        func set(_ source: String, _ target: String) throws {
            try? manager.removeItem(atPath: "\(folder.path)/\(target)")
            try manager.copyItem(atPath: "\(folder.path)/\(source)", toPath: "\(folder.path)/\(target)")
        }
        try set("a/ca-key.pem", "b/ca-key.pem")
        let other = try certs("issue", "--dir", "b", "--node", "n2")
        #expect(other.code == 65)
        #expect(other.err.contains("b/ca-key.pem is not the key of b/ca.pem"), "\(other.err)")
        try set("leaf/n1.pem", "b/ca.pem")
        try set("leaf/n1-key.pem", "b/ca-key.pem")
        let leaf = try certs("issue", "--dir", "b", "--node", "n2")
        #expect(leaf.code == 65)
        #expect(leaf.err.contains("not that of an authority"), "\(leaf.err)")
        try "nonsense".write(toFile: folder.path + "/b/ca-key.pem", atomically: true, encoding: .utf8)
        let broken = try certs("issue", "--dir", "b", "--node", "n2")
        #expect(broken.code == 65)
        #expect(broken.err.contains("b/ca-key.pem: no private key can be read from it"), "\(broken.err)")
        #expect(try names("b") == ["ca-key.pem", "ca.pem"])
    }

    @Test func `show names the file and what is wrong with it, and shows the others`() throws {
        #expect(try certs("init").code == 0)
        let whole = try text("certs/ca.pem")
        let half = whole.split(separator: "\n").prefix(3).joined(separator: "\n") + "\n"
        let end = "-----END CERTIFICATE-----\n"
        let files: [(name: String, bytes: Data, says: String)] = [
            ("empty.pem", Data(), "there is no certificate in it"),
            ("garbage.pem", Data([0, 255, 254, 10, 45, 45]), "there is no certificate in it"),
            ("words.pem", Data("hello\n".utf8), "there is no certificate in it"),
            ("cut.pem", Data(half.utf8), "no certificate can be read from it"),
            ("short.pem", Data((half + end).utf8), "certificate 1 cannot be read"),
            ("base.pem", Data(("-----BEGIN CERTIFICATE-----\n!!!!\n" + end).utf8), "no certificate can be read from it"),
            ("large.pem", Data(count: 2 << 20), "larger than 1 MiB"),
        ]
        for (name, bytes, says) in files {
            try bytes.write(to: URL(filePath: folder.path + "/" + name))
            let finished = try certs("show", name)
            #expect(finished.code == 65, "\(name): \(finished.err)")
            #expect(finished.err.contains("\(name): \(says)"), "\(finished.err)")
            #expect(!finished.err.contains(".swift:"), "\(finished.err)")
            #expect(finished.out.isEmpty)
        }
        let key = try certs("show", "certs/ca-key.pem")
        #expect(key.code == 65)
        #expect(key.err.contains("certs/ca-key.pem: there is a private key in it and no certificate"), "\(key.err)")
        #expect(!key.err.contains("BEGIN"))
        let mixed = try certs("show", "nowhere.pem", "certs/ca.pem", "certs", "-o", "name")
        #expect(mixed.code == 65)
        #expect(mixed.err.contains("nowhere.pem cannot be read: No such file"), "\(mixed.err)")
        #expect(mixed.err.contains("certs cannot be read: Is a directory"), "\(mixed.err)")
        #expect(mixed.out == "CN=DistriC authority\n")
    }

    @Test func `what cannot be written exits 73 and leaves nothing half done`() throws {
        #expect(try certs("init", "--dir", "/proc/nowhere").code == 73)
        #expect(try certs("init").code == 0)
        try "".write(toFile: folder.path + "/file", atomically: true, encoding: .utf8)
        #expect(try certs("issue", "--node", "n1", "--out", "file/below").code == 73)
        try FileManager.default.createDirectory(atPath: folder.path + "/out/n1.pem", withIntermediateDirectories: true)
        let folderInTheWay = try certs("issue", "--node", "n1", "--out", "out", "--force")
        #expect(folderInTheWay.code == 73)
        #expect(folderInTheWay.err.contains("out/n1.pem is a folder"), "\(folderInTheWay.err)")
        #expect(try names("out") == ["n1.pem"])
    }
}
