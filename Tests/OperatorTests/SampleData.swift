import Primitives
import Text

/// What the sample cluster holds: three coordinators, a worker under suspicion, orders that are fulfilled. It is the same in every test.
enum SampleData {
    /// 2026-11-23T14:32:07Z.
    static let now = ClusterTime(milliseconds: 1_795_444_327_000)
    static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    /// The number of the newest run.
    static let newest = 8842

    static func json(_ text: String) -> Value {
        do { return try JSONScanner.parse(text) } catch { preconditionFailure("the sample is not JSON: \(error)") }
    }

    static func ago(milliseconds: Int) -> Value { .string(now.advanced(by: .milliseconds(-milliseconds)).rfc3339) }

    /// Numbers that go up and down.
    static func wave(_ count: Int, base: Int, swing: Int) -> Value {
        .list((0..<count).map { place in Value(base + place * 7 % swing) })
    }

    // MARK: The cluster

    static let connections: [Value] =
        json(
            #"""
            [
              {"id": "10.0.3.17:51204", "node": "w-07", "identity": "distric://node/w-07", "software": "distric 0.4.9", "protocol": "1.0",
               "calls": 812441, "idleMs": 12},
              {"id": "10.0.3.9:40112", "node": null, "identity": "distric://client/shop", "software": "shop-frontend 7", "protocol": "1.0",
               "calls": 40, "idleMs": 61003},
              {"id": "unix:4", "node": null, "identity": null, "software": "distric ping 0.5.0", "protocol": "1.0", "calls": 3, "idleMs": 400}
            ]
            """#
        ).list ?? []

    static let members: [Value] =
        json(
            #"""
            [
              {"id": "c-1", "role": "coordinator,worker", "state": "alive", "version": "0.5.0", "slots": 16, "running": 12,
               "startedAt": "2026-11-23T09:12:40.000Z", "incarnation": 0, "raft": "leader"},
              {"id": "c-2", "role": "coordinator", "state": "alive", "version": "0.5.0", "slots": null, "running": 0,
               "startedAt": "2026-11-23T09:12:44.000Z", "incarnation": 0, "raft": "follower"},
              {"id": "c-3", "role": "coordinator", "state": "alive", "version": "0.5.0", "slots": null, "running": 0,
               "startedAt": "2026-11-23T13:58:02.000Z", "incarnation": 2, "raft": "follower"},
              {"id": "w-07", "role": "worker", "state": "suspect", "version": "0.4.9", "slots": 32, "running": 19,
               "startedAt": "2026-11-21T22:04:31.000Z", "incarnation": 14, "raft": null}
            ]
            """#
        ).list ?? []

    static let status: Value = {
        guard
            case .map(var fields) = json(
                #"""
                {"clusterId": "0f3c9a52-6d1e-4b7a-9c55-2a7be1d3f410", "node": "c-1", "version": "0.5.0", "leader": "c-1", "term": 7,
                 "commitIndex": 120331, "appliedIndex": 120331, "quorum": {"have": 3, "need": 2, "of": 3}, "ready": true,
                 "health": [{"name": "disk", "status": "degraded", "reason": "1.9 GiB of 40 GiB are free",
                             "since": "2026-11-23T14:20:00.000Z"}],
                 "catalogVersion": 12, "queue": {"depth": 118, "running": 31, "oldestMs": 4100},
                 "gossip": {"alive": 3, "suspect": 1, "dead": 0},
                 "runs": {"open": 6, "started": 8842, "ended": 8836, "failed": 212, "failedPerSecond": 0.2},
                 "startedAt": "2026-11-23T09:12:40.000Z"}
                """#)
        else { return .null }
        fields["members"] = .list(members)
        fields["raft"] = SampleRaft.well
        var tasks = Fields()
        for (name, number) in [("running", 31), ("queued", 118), ("waiting", 80), ("unknown", 1)] { tasks[name] = Value(number) }
        for (name, number) in [("failedPerSecond", 0.25), ("p50Ms", 42), ("p99Ms", 910.4)] { tasks[name] = .double(number) }
        tasks["depth"] = wave(60, base: 60, swing: 59)
        fields["tasks"] = Value.map(tasks)
        fields["workflows"] = .list((0..<3).map { run(newest - $0, isBrief: true) })
        var messages = Fields()
        messages["accepted"] = Value(96_214)
        messages["perSecond"] = .double(48.4)
        messages["recent"] = wave(30, base: 40, swing: 17)
        fields["messages"] = Value.map(messages)
        fields["rules"] = .list(rules)
        fields["events"] = .list(Array(events.suffix(12)))
        return .map(fields)
    }()

    // MARK: Messages and rules

    static let rules: [Value] = [
        rule("orders", "big-order", rates: (1210.4, 48.4), percent: 4, hits: 48_120, errors: 0, last: 120),
        rule("orders", "express", rates: (1210.4, 2.5), percent: 0.2, hits: 2_204, errors: 0, last: 9_000),
        rule("orders", "gift-wrap", rates: (1210.4, 0), percent: 0, hits: 0, errors: 0, last: nil),
        rule("geo", "geo-block", rates: (1210.4, 0.1), percent: 0, hits: 311, errors: 3, last: 61_000),
        rule("geo", "old-address", rates: (0, 0), percent: 0, hits: 17, errors: 0, last: 86_400_000, state: "disabled"),
    ]

    private static func rule(
        _ set: String, _ name: String, rates: (Double, Double), percent: Double, hits: Int, errors: Int, last: Int?, state: String = "live"
    ) -> Value {
        var fields = Fields()
        fields["rowKey"] = .string("default:\(set)/\(name)")
        fields["id"] = .string("\(set)/\(name)")
        fields["set"] = .string(set)
        fields["rule"] = .string(name)
        fields["namespace"] = .string("default")
        fields["priority"] = Value(100)
        fields["state"] = .string(state)
        fields["evaluations"] = Value(1_203_000)
        fields["hits"] = Value(hits)
        fields["errors"] = Value(errors)
        fields["hitPercent"] = .double(percent)
        fields["evaluationsPerSecond"] = .double(rates.0)
        fields["hitsPerSecond"] = .double(rates.1)
        fields["latencyUs"] = state == "live" ? .double(3.4) : Value.null
        fields["lastHit"] = last.map { ago(milliseconds: $0) } ?? Value.null
        fields["recent"] = hits > 1000 ? wave(30, base: 30, swing: 29) : .list(Array(repeating: Value(0), count: 30))
        fields["workflows"] = .list([.string(set == "geo" ? "geo-audit" : "order-fulfil")])
        return .map(fields)
    }

    static let ruleSet: Value = {
        guard
            case .map(var fields) = json(
                #"""
                {"version": 12, "definition": {"apiVersion": "distric/v1", "kind": "RuleSet", "metadata": {"name": "orders"}, "rules": [
                  {"id": "big-order", "when": {"all": [{"field": "data.amount", "gt": 800}, {"field": "data.country", "in": ["NO", "SE"]}]},
                   "actions": [{"workflow": "order-fulfil"}]},
                  {"id": "express", "when": {"field": "data.express", "equals": true}, "actions": [{"workflow": "order-fulfil"}]}
                ]}}
                """#)
        else { return .null }
        fields["stats"] = .list(rules.filter { $0["set"]?.string == "orders" })
        return .map(fields)
    }()

    static let messages: [Value] = (0..<40).map { place in
        var fields = Fields()
        let (id, source) = ("order-\(4711 - place)", "/shop/\(["oslo", "bergen", "malmö"][place % 3])")
        fields["rowKey"] = .string("default/\(source)/\(id)")
        fields["id"] = .string(id)
        fields["namespace"] = .string("default")
        fields["source"] = .string(source)
        fields["type"] = .string(place % 4 == 3 ? "order.cancelled" : "order.placed")
        fields["acceptedAt"] = ago(milliseconds: 900 + place * 1700)
        fields["catalogVersion"] = Value(12)
        fields["matched"] = .list([.string(place % 4 == 3 ? "geo/geo-block" : "orders/big-order")])
        fields["runs"] = .list([.string(runID(newest - place))])
        fields["message"] = message(id, amount: 240 + place * 61)
        return .map(fields)
    }

    private static func message(_ id: String, amount: Int) -> Value {
        var whole = Fields()
        whole["id"] = .string(id)
        whole["type"] = .string("order.placed")
        whole["data"] = .object(["amount": Value(amount), "country": "NO", "lines": Value(amount / 100), "note": "leave it at the door"])
        return .map(whole)
    }

    /// Why each rule did or did not match.
    static func why(_ id: String) -> Value {
        guard
            case .map(var fields) = json(
                #"""
                {"type": "order.placed", "source": "/shop/oslo", "namespace": "default", "matched": ["orders/big-order"],
                 "matchedByCatalog": 11, "catalogVersion": 12, "rules": [
                  {"rule": "orders/big-order", "priority": 100, "matched": true, "reason": "matched",
                   "condition": {"operation": "all", "holds": true, "parts": [
                     {"operation": "range", "holds": true, "field": "data.amount", "expected": {"gt": 800}, "actual": 1240},
                     {"operation": "in", "holds": true, "field": "data.country", "expected": ["NO", "SE"], "actual": "NO"}]},
                   "flip": [{"field": "data.amount", "actual": 1240, "wanted": "at most 800"}]},
                  {"rule": "orders/express", "priority": 90, "matched": false, "reason": "condition",
                   "condition": {"operation": "equals", "holds": false, "field": "data.express", "expected": true, "actual": null,
                                 "missing": true},
                   "flip": [{"field": "data.express", "wanted": "true"}]},
                  {"rule": "geo/geo-block", "priority": 80, "matched": false, "reason": "shadowed", "culprit": "orders/big-order",
                   "condition": {"operation": "any", "holds": true, "parts": [
                     {"operation": "equals", "holds": true, "field": "data.country", "expected": "NO", "actual": "NO"}]},
                   "flip": []},
                  {"rule": "geo/old-address", "priority": 10, "matched": false, "reason": "disabled",
                   "condition": {"operation": "all", "holds": true}, "flip": null}
                 ]}
                """#)
        else { return .null }
        fields["id"] = .string(id)
        fields["acceptedAt"] = ago(milliseconds: 900)
        var started = Fields()
        started["id"] = .string(runID(newest))
        started["workflow"] = .string("order-fulfil")
        started["state"] = .string("running")
        started["rule"] = .string("orders/big-order")
        fields["runs"] = .list([.map(started)])
        fields["message"] = message(id, amount: 1240)
        return .map(fields)
    }

    // MARK: Traces

    static let traces: [Value] = (0..<24).map { place in
        var fields = Fields()
        fields["traceId"] = .string(place == 0 ? trace : "00f067aa0ba902b7" + hexadecimal(UInt64(place)))
        fields["spanId"] = .string(hexadecimal(UInt64(place) + 1))
        fields["name"] = .string(place % 3 == 0 ? "POST /api/v1/messages" : "message order.placed")
        fields["node"] = .string("c-1")
        fields["start"] = ago(milliseconds: 1200 + place * 2300)
        fields["durationMs"] = .double(412.25 + Double(place) * 31)
        fields["spans"] = Value(9 + place)
        if place % 7 == 2 { fields["error"] = .string("task pay: the card was refused") }
        return .map(fields)
    }

    static func spans(_ trace: String) -> Value {
        let rows: [(id: Int, parent: Int, name: String, at: Int, ms: Double)] = [
            (1, 0, "POST /api/v1/messages", 0, 6.5), (2, 1, "message order-4711", 1, 5), (3, 2, "raft.append", 2, 3.75),
            (4, 1, "run order-fulfil", 7, 405), (5, 4, "task validate", 9, 9), (6, 4, "task fraud-check", 20, 112.5),
            (7, 4, "task reserve", 20, 31), (8, 4, "task pay", 135, 240), (9, 4, "task pick", 380, 32.25),
        ]
        let list = rows.map { row -> Value in
            var fields = Fields()
            fields["traceId"] = .string(trace)
            fields["spanId"] = .string(hexadecimal(UInt64(row.id)))
            if row.parent > 0 { fields["parentId"] = .string(hexadecimal(UInt64(row.parent))) }
            fields["name"] = .string(row.name)
            fields["node"] = .string("c-1")
            fields["start"] = ago(milliseconds: 1200 - row.at)
            fields["durationMs"] = .double(row.ms)
            fields["attributes"] = .object(["attempt": Value(row.id == 9 ? 2 : 1)])
            return .map(fields)
        }
        return .object(["traceId": .string(trace), "spans": .list(list)])
    }
}
