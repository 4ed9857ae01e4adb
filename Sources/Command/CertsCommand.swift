import ArgumentParser
import Crypto
import Foundation
import Operator
import Primitives
import X509

/// `distric certs`.
struct CertsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certs", abstract: "Certificates for TLS between nodes: an authority of your own, and what it signs.",
        discussion: """
            Nodes show each other certificates of one authority (TLS 1.3); each says who it is by a URI, distric://node/ID.

              distric certs init
              distric certs issue --node n1 --host n1.example.net,10.0.0.1
              distric certs issue --client ada --days 30
              distric certs show certs/ca.pem certs/n1.pem
            """,
        subcommands: [Init.self, Issue.self, Show.self])

    /// A hundred years; dates stay far from what X.509 cannot say.
    fileprivate static let longest = 36_500

    fileprivate static func check(days: Int, folders: [String?]) throws {
        guard (1...longest).contains(days) else { throw ValidationError("--days must be 1 to \(longest)") }
        guard !folders.contains("") else { throw ValidationError("the folder's name is empty") }
    }

    struct Init: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "init", abstract: "Make a certificate authority: ca.pem, which every node needs, and ca-key.pem, which none does.",
            discussion: """
                Whoever holds ca-key.pem can make nodes of the cluster; only its owner can read it.

                  distric certs init
                  distric certs init --dir /root/certs --name 'Shop cluster' --days 3650
                """)
        @Option(name: .long, help: "The folder; it is made when it is not there.") var dir = "certs"
        @Option(name: .long, help: "What the authority is called in certificates, 64 letters at most.") var name = "DistriC authority"
        @Option(name: .long, help: "How many days it lasts (1 to 36500).") var days = 3650
        @Flag(name: .long, help: "Replace an authority that is there: what it signed is then refused.") var force = false

        func validate() throws {
            try CertsCommand.check(days: days, folders: [dir])
            guard !name.isEmpty, name.unicodeScalars.count <= 64, PlainText.oneLine(name).utf8.elementsEqual(name.utf8) else {
                throw ValidationError("--name must be 1 to 64 letters on one line")
            }
        }

        @concurrent
        func run() async throws {
            let made: CertifiedKey
            let text: String
            do {
                made = try CertificateAuthority.made(name: name, days: days, now: Date())
                text = try made.certificateText
            } catch {
                throw CommandFailure(.internal, "no authority could be made: \(CertificateFiles.reason(error))")
            }
            let certificate = CertificateAuthority.certificatePath(in: dir)
            let key = CertificateAuthority.keyPath(in: dir)
            try CertificateFiles.makeFolder(dir)
            try CertificateFiles.put(
                [
                    .init(path: key, text: made.keyText, mode: CertificateFiles.secretMode),
                    .init(path: certificate, text: text, mode: CertificateFiles.publicMode),
                ], replacing: force)
            Session.current.out("\(certificate)\n\(key)\n")
            let place = dir == "certs" ? "" : " --dir \(dir)"
            Session.current.note(
                """
                it lasts until \(made.certificate.notValidAfter.formatted(.iso8601)); keep ca-key.pem safe, and off the nodes
                next, for each node: distric certs issue\(place) --node ID --host NAME-OR-ADDRESS

                """)
        }
    }

    struct Issue: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "issue", abstract: "Make a key, and a certificate for it that the authority signs, for a node or a client.",
            discussion: """
                Writes ID.pem and ID-key.pem; only their owner can read the key. A node takes new files for new connections.

                  distric certs issue --node n1 --host n1.example.net,10.0.0.1,fd00::1
                  distric certs issue --node n1 --host n1.example.net --force
                  distric certs issue --client ada --days 30 --out /home/ada/certs
                """)
        @Option(name: .long, help: "The folder of the authority.") var dir = "certs"
        @Option(name: .long, help: "Name of the node, its node.id.") var node: String?
        @Option(name: .long, help: "Name of a client: a program or a person.") var client: String?
        @Option(name: .long, help: "DNS names and IP addresses that it is reached by, separated by commas; repeatable.")
        var host: [String] = []
        @Option(name: .long, help: "How many days it lasts (1 to 36500), but not longer than the authority.") var days = 397
        @Option(name: .long, help: "The folder to write into; it is made when it is not there (default: that of --dir).") var out: String?
        @Flag(name: .long, help: "Replace files that are there.") var force = false

        func validate() throws {
            try CertsCommand.check(days: days, folders: [dir, out])
            guard (node == nil) != (client == nil) else { throw ValidationError("say --node ID or --client NAME, one of them") }
        }

        @concurrent
        func run() async throws {
            let holder: CertificateHolder = node.map(CertificateHolder.node) ?? .client(client ?? "")
            try holder.check()
            var hosts: [GeneralName] = []
            for text in host.flatMap({ $0.split(separator: ",", omittingEmptySubsequences: false) }) {
                let name = try OtherNames.host(text.trimmingCharacters(in: .whitespaces))
                if !hosts.contains(name) { hosts.append(name) }
            }
            let now = Date()
            let authority = try CertificateAuthority.opened(in: dir, now: now)
            let issued: CertifiedKey
            let text: String
            do {
                issued = try authority.issue(to: holder, hosts: hosts, days: days, now: now)
                text = try issued.certificateText
            } catch {
                throw CommandFailure(.internal, "no certificate could be made: \(CertificateFiles.reason(error))")
            }
            let folder = out ?? dir
            let certificate = CertificateFiles.path(folder, "\(holder.name).pem")
            let key = CertificateFiles.path(folder, "\(holder.name)-key.pem")
            try CertificateFiles.makeFolder(folder)
            try CertificateFiles.put(
                [
                    .init(path: key, text: issued.keyText, mode: CertificateFiles.secretMode),
                    .init(path: certificate, text: text, mode: CertificateFiles.publicMode),
                ], replacing: force)
            Session.current.out("\(certificate)\n\(key)\n")
            let isCut = authority.end(of: days, now: now).isCut
            note(holder, certificate: certificate, key: key, end: issued.certificate.notValidAfter, isCut: isCut)
        }

        /// Says until when, and what to do with the files.
        private func note(_ holder: CertificateHolder, certificate: String, key: String, end: Date, isCut: Bool) {
            let reason = isCut ? ", when its authority ends" : ""
            let whose =
                switch holder {
                case .node(let name): "settings of node \(name)"
                case .client(let name): "what client \(name) needs"
                }
            let authority = CertificateAuthority.certificatePath(in: dir)
            if case .client = holder {
                return Session.current.note(
                    """
                    it lasts until \(end.formatted(.iso8601))\(reason)
                    \(whose): --tls-certificate "\(full(certificate))" --tls-key "\(full(key))" --tls-authority "\(full(authority))"

                    """)
            }
            Session.current.note(
                """
                it lasts until \(end.formatted(.iso8601))\(reason)
                \(whose), with the paths where the files are then:
                  rpc.tls_certificate = "\(full(certificate))"
                  rpc.tls_key = "\(full(key))"
                  rpc.tls_authority = "\(full(authority))"

                """)
        }

        private func full(_ path: String) -> String {
            path.hasPrefix("/") ? path : CertificateFiles.path(FileManager.default.currentDirectoryPath, path)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Show what certificates say: whose they are, who signed them, and for how long.",
            discussion: """
                  distric certs show certs/n1.pem
                  distric certs show certs/ca.pem certs/n1.pem -o json
                """)
        @Argument(help: "PEM files with one certificate or several.") var files: [String]
        @Option(name: [.customShort("o"), .long], help: "table, wide, json, jsonl, yaml, csv, tsv or name.") var output: OutputFormat =
            .table

        private static let columns = [
            Column("FILE", "file"), Column("SUBJECT", "subject"), Column("IDENTITY", "identity"), Column("ISSUER", "issuer", wide: true),
            Column("NOT BEFORE", "notBefore", wide: true), Column("NOT AFTER", "notAfter"), Column("DAYS", "daysLeft"),
            Column("SERIAL", "serial", wide: true), Column("SHA-256", "fingerprint", wide: true), Column("HOSTS", "hosts"),
        ]

        @concurrent
        func run() async throws {
            let now = Date()
            var rows: [Value] = []
            var problems: [String] = []
            for file in files {
                do {
                    for found in try CertificateFiles.certificates(in: file) { rows.append(try row(found, of: file, now: now)) }
                } catch let failure as CommandFailure {
                    problems.append(failure.message)
                } catch {
                    problems.append("\(file): a certificate in it cannot be read: \(CertificateFiles.reason(error))")
                }
            }
            if !rows.isEmpty {
                let rendering = Rendering(format: output, width: Session.current.width, isExpanded: Session.current.isExpanded)
                Session.current.out(rendering.rows(rows, Self.columns, name: "subject"))
            }
            guard problems.isEmpty else { throw CommandFailure(.badData, problems.joined(separator: "\n")) }
        }

        private func row(_ found: CertificateFiles.Found, of file: String, now: Date) throws -> Value {
            let certificate = found.certificate
            let names = try OtherNames(certificate)
            let hosts = names.hosts.map(Value.string)
            let days = (certificate.notValidAfter.timeIntervalSince(now) / 86_400).rounded(.down)
            return .object([
                "file": .string(file), "subject": .string("\(certificate.subject)"), "identity": Value(names.identity),
                "hosts": .list(hosts), "issuer": .string("\(certificate.issuer)"),
                "notBefore": .string(certificate.notValidBefore.formatted(.iso8601)),
                "notAfter": .string(certificate.notValidAfter.formatted(.iso8601)), "daysLeft": .int(Int64(days)),
                "serial": .string(hex(Array(certificate.serialNumber.bytes), separator: "")),
                "fingerprint": .string(hex(Array(SHA256.hash(data: found.bytes)), separator: ":")),
            ])
        }

        /// As openssl writes serial numbers and fingerprints.
        private func hex(_ bytes: [UInt8], separator: String) -> String {
            bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined(separator: separator)
        }
    }
}
