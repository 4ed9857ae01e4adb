import Primitives

/// What simulated clusters are asked to do: rules and workflows with every policy on loss, in two versions, so that what a message starts depends on the catalog in force.
enum ClusterDefinitions {
    /// Of messages, `t0` to `t5`; nothing matches the last, and `t4` only in every second version.
    static let types = 6

    static func version(_ number: UInt64) -> [Value] {
        let isOdd = number % 2 == 1
        return [rules(isOdd), again, hold, chain, fan(isOdd), long]
    }

    private static func rule(_ type: Int, _ workflows: [Value]) -> Value {
        [
            "id": .string("r\(type)"), "when": ["all": [["field": "type", "operator": "equals", "value": .string("t\(type)")]]],
            "actions": .list(workflows),
        ]
    }

    private static func rules(_ isOdd: Bool) -> Value {
        var rules: [Value] = [
            rule(0, [["workflow": "again", "retry": 1]]), rule(1, [["workflow": "hold"]]),
            rule(2, [["workflow": "chain"], ["workflow": "fan"]]), rule(3, [["workflow": "long"]]),
        ]
        if isOdd { rules.append(rule(4, [["workflow": "fan"]])) }
        return ["apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": "sim"], "match": "all", "rules": .list(rules)]
    }

    private static func workflow(_ name: Value, timeout: Value = "60s", _ tasks: Value) -> Value {
        ["apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": name], "timeout": timeout, "tasks": tasks]
    }

    /// Tried again after a loss and after failures.
    private static let again = workflow(
        "again",
        [
            "flaky": [
                "use": "exec@1", "with": ["command": ["flaky"]], "idempotent": true, "timeout": ["attempt": "4s"],
                "retry": ["limit": ["attempt": ["count": 3]], "delay": "100ms"],
            ],
            "rest": ["use": "transform@1", "with": ["value": "${{ tasks.flaky.status }}"], "depends_on": ["flaky": "done"]],
        ])

    /// What was lost may have been done: an operator decides.
    private static let hold = workflow(
        "hold",
        [
            "pay": [
                "use": "exec@1", "with": ["command": ["pay"]], "timeout": ["attempt": "4s"],
                "retry": ["limit": ["attempt": ["count": 2]], "delay": "100ms"],
            ],
            "alone": [
                "use": "http@1", "with": ["url": "http://example.invalid"], "on_disconnect": "continue", "lost_after": "8s",
                "timeout": ["attempt": "4s"], "depends_on": ["pay": "done"],
            ],
        ])

    private static let chain = workflow(
        "chain",
        [
            "first": ["use": "http@1", "with": ["url": "http://example.invalid"], "on_lost": "fail", "timeout": ["attempt": "4s"]],
            "rest": ["use": "wait@1", "with": ["duration": "3s"], "depends_on": ["first": "done"]],
            "last": [
                "use": "exec@1", "with": ["command": ["last"]], "idempotent": true, "timeout": ["attempt": "4s", "queue": "20s"],
                "depends_on": ["rest": "succeeded"],
            ],
        ])

    private static func fan(_ isOdd: Bool) -> Value {
        workflow(
            "fan",
            [
                "a": ["use": "transform@1", "with": ["value": isOdd ? "odd" : "even"]],
                "b": ["use": "exec@1", "with": ["command": ["b"]], "idempotent": true, "timeout": ["attempt": "4s"]],
                "c": ["use": "exec@1", "with": ["command": ["c"]], "on_lost": "retry", "timeout": ["attempt": "4s", "total": "30s"]],
                "all": [
                    "use": "transform@1", "with": ["value": "${{ tasks.a.output }}"],
                    "depends_on": ["a": "succeeded", "b": "done", "c": "done"],
                ],
            ])
    }

    /// Runs until somebody ends it.
    private static let long = workflow(
        "long", timeout: "20s",
        ["long": ["use": "exec@1", "with": ["command": ["long"]], "idempotent": true, "timeout": ["attempt": "10m"]]])
}
