import Primitives
import Text
import Transport

/// Reads what shall be broken, strictly: a key that is misspelt would break something else than was meant.
enum ChaosReading {
    /// Of a delay or a stall: long enough for any timeout, short enough to be forgotten.
    static let longest = Duration.seconds(600)
    /// Links of one request.
    static let linkLimit = 256

    // MARK: Links

    /// `{"links": [{"to": "c-2", "cut": true, "delay": "50ms", "loss": 0.2}]}`
    static func links(
        _ value: Value, node: NodeID, peers: [NodeID]
    ) throws(Problem) -> [(node: NodeID, fault: LinkFault)] {
        let example = #"{"links": [{"to": "c-2", "cut": true}]}"#
        let fields = try object(value, at: "", keys: ["links"], example)
        guard let items = fields["links"]?.list, !items.isEmpty else { throw refused("expected a list of links: \(example)", at: "/links") }
        guard items.count <= linkLimit else { throw refused("at most \(linkLimit) links at once", at: "/links") }
        var found: [(node: NodeID, fault: LinkFault)] = []
        for (place, item) in items.enumerated() {
            let pointer = "/links/\(place)"
            let link = try link(item, at: pointer)
            try check(link.node, node: node, peers: peers, at: pointer + "/to")
            guard !found.contains(where: { $0.node == link.node }) else {
                throw refused("the link to \(link.node) is there twice", at: pointer + "/to")
            }
            found.append(link)
        }
        return found
    }

    private static func link(_ value: Value, at pointer: String) throws(Problem) -> (node: NodeID, fault: LinkFault) {
        let fields = try object(value, at: pointer, keys: ["to", "cut", "delay", "loss"], #"{"to": "c-2", "cut": true}"#)
        let node = try node(fields["to"]?.string, at: pointer + "/to")
        guard fields.count > 1 else {
            throw refused(
                "nothing is said of the link to \(node): give cut, delay or loss; DELETE /api/v1/chaos/links?to=\(node) heals it",
                at: pointer)
        }
        var fault = LinkFault()
        if let cut = fields["cut"] { fault.isCut = try flag(cut, "cut", at: pointer) }
        if let delay = fields["delay"] { fault.delay = try duration(delay, "delay", at: pointer) }
        if let loss = fields["loss"] {
            guard let share = loss.number, (0...1).contains(share) else {
                throw refused("loss is a share from 0 to 1: 0.2 loses every fifth", at: pointer + "/loss")
            }
            fault.loss = share
        }
        return (node, fault)
    }

    /// The name of a node, as `to` has it.
    static func node(_ text: String?, at pointer: String) throws(Problem) -> NodeID {
        guard let text else { throw refused("to is the id of the node that the link leads to, such as \"c-2\"", at: pointer) }
        do throws(IdentifierError) { return try NodeID(text) } catch { throw refused(error.description, at: pointer) }
    }

    /// A name that nobody bears would break nothing, and nobody would know.
    private static func check(_ to: NodeID, node: NodeID, peers: [NodeID], at pointer: String) throws(Problem) {
        let others = peers.filter { $0 != node }
        guard to != node else {
            throw refused(
                "\(to) is this node itself; a link leads to another\(others.isEmpty ? "" : ": " + names(others))", at: pointer)
        }
        guard others.isEmpty || others.contains(to) else {
            let meant = suggestion(for: to.text, among: others.map(\.text)).map { "did you mean '\($0)'?" } ?? "there are " + names(others)
            throw refused("no node '\(to)' is known here; \(meant)", at: pointer)
        }
    }

    static func names(_ nodes: [NodeID]) -> String {
        nodes.prefix(10).map(\.text).joined(separator: ", ") + (nodes.count > 10 ? ", ..." : "")
    }

    // MARK: Disk

    /// `{"stall": "250ms", "every": "5s"}`, `{"stall": "3s", "once": true}` or `{"fail": true}`
    static func disk(_ value: Value) throws(Problem) -> ChaosControl.DiskFault {
        let forms = #"{"stall": "250ms", "every": "5s"}, {"stall": "3s", "once": true} or {"fail": true}"#
        let fields = try object(value, at: "", keys: ["stall", "every", "once", "fail"], forms)
        if let fail = fields["fail"] {
            guard try flag(fail, "fail", at: "") else { throw refused("DELETE /api/v1/chaos/disk ends it", at: "/fail") }
            guard fields.count == 1 else { throw refused("a disk that fails does not stall: write \(forms)", at: "/fail") }
            return .fail
        }
        guard let stall = fields["stall"] else { throw refused("expected \(forms)", at: "") }
        let length = try duration(stall, "stall", at: "")
        guard length > .zero else { throw refused("a stall takes some time; DELETE /api/v1/chaos/disk ends it", at: "/stall") }
        let isOnce = try fields["once"].map { value throws(Problem) in try flag(value, "once", at: "") } ?? false
        guard isOnce != (fields["every"] != nil) else {
            throw refused("a stall comes once, or every so often: write \(forms)", at: isOnce ? "/once" : "")
        }
        guard let every = fields["every"] else { return .stallOnce(length) }
        return .stall(length, every: try duration(every, "every", at: ""))
    }

    // MARK: Parts

    private static func object(_ value: Value, at pointer: String, keys: [String], _ example: String) throws(Problem) -> Fields {
        guard case .map(let fields) = value else { throw refused("expected \(example)", at: pointer) }
        for member in fields.members where !keys.contains(member.key) {
            let key = String(member.key.prefix(80))
            let meant = suggestion(for: key, among: keys).map { "; did you mean '\($0)'?" } ?? "; there are \(keys.joined(separator: ", "))"
            throw refused("unknown key '\(key)'\(meant)", at: pointer + "/" + key)
        }
        return fields
    }

    private static func flag(_ value: Value, _ key: String, at pointer: String) throws(Problem) -> Bool {
        guard let flag = value.bool else { throw refused("\(key) is true or false", at: "\(pointer)/\(key)") }
        return flag
    }

    private static func duration(_ value: Value, _ key: String, at pointer: String) throws(Problem) -> Duration {
        guard let duration = value.string.flatMap({ Duration(text: $0) }), duration <= longest else {
            throw refused("\(key) is a duration in quotes such as \"50ms\", from 0s to \(longest.text)", at: "\(pointer)/\(key)")
        }
        return duration
    }

    private static func refused(_ detail: String, at pointer: String) -> Problem { .badRequest("invalid_fault", detail, pointer: pointer) }
}
