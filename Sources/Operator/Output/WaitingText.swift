import Primitives

/// What a node says that has no cluster yet: for how many it waits, who is known, who is missing, and what to type.
enum WaitingText {
    /// What it waits for; nil when that is not what it answered.
    static func waiting(_ answer: NodeClient.Answer) -> Value? {
        guard answer.status == 503, answer.value["code"]?.string == "no_cluster" else { return nil }
        return answer.value["waiting"]
    }

    /// Prints it, and ends the command: what was asked for is not there.
    static func tell(_ waiting: Value, _ common: CommonOptions) throws(CommandFailure) -> Never {
        if common.isForPeople { Session.current.out(facts(waiting)) } else { common.print(waiting, name: "node") }
        throw CommandFailure(.temporary, "this node has no cluster yet; 'distric health' says so until it has")
    }

    static func facts(_ waiting: Value) -> String {
        let (expects, missing) = (waiting["expects"]?.int ?? 0, waiting["missing"]?.int ?? 0)
        let known = (waiting["known"]?.list ?? []).prefix(64)
        var facts: [(String, String)] = [
            ("node", "\(Words.plain(waiting["node"])), without a cluster"), ("state", Words.plain(waiting["text"])),
        ]
        if expects > 0 {
            facts.append(
                ("expects", "\(expects) coordinators, \(known.count) \(known.count == 1 ? "is" : "are") known, \(missing) missing"))
        }
        for (place, member) in known.enumerated() {
            let isHere = member["isHere"]?.bool == true ? ", this node" : ""
            let other = member["expects"]?.int.map { $0 == expects ? "" : ", expects \($0)" } ?? ""
            facts.append((place == 0 ? "known" : "", "\(Words.plain(member["id"])) at \(Words.plain(member["address"]))\(isHere)\(other)"))
        }
        let silent = RaftWords.names(waiting["silent"])
        if silent != "-" { facts.append(("silent", "\(silent): nobody has answered there")) }
        facts.append(("next", Words.plain(waiting["next"])))
        return facts.map { name, text in name + String(repeating: " ", count: max(1, 10 - name.count)) + PlainText.oneLine(text) + "\n" }
            .joined()
    }
}
