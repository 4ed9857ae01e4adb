import Primitives
import Testing
import Text

@testable import Workflows

/// What a task asks of a worker (PlacementReader.swift).
struct PlacementReaderTests {
    private func read(_ members: String, use: String = "exec@1") throws -> TaskDefinition {
        let task = use == "exec@1" ? exec(members) : transform("1", members)
        return try workflow(#"{"a": \#(task)}"#).tasks[0]
    }

    @Test func `without a word a task goes anywhere, takes one place and is of middling priority`() throws {
        let task = try read("")
        #expect(task.priority == 5 && task.cost == 1 && task.terms == .none && task.group == nil)
        #expect(task.shape == TaskShape(.exec) && !task.saysWhere)
    }

    @Test func `labels are asked for by value, by several, by none of them, and by being there`() throws {
        let task = try read(
            #""labels": {"zone": "north", "arch": ["arm64", "amd64"], "disk": {"not": ["hdd", "tape"]}, "gpu": {"exists": true}, "spot": {"exists": false}}, "#
        )
        #expect(
            task.terms.required.map(\.description) == ["zone=north", "arch in (arm64,amd64)", "disk not in (hdd,tape)", "gpu", "!spot"])
        #expect(task.saysWhere)
    }

    @Test func `preferences have weights, and count for each label`() throws {
        let task = try read(
            #""prefer": [{"labels": {"disk": "ssd", "zone": "north"}, "weight": 10}, {"labels": {"gpu": {"not": "old"}}}], "#)
        #expect(task.terms.preferred.map(\.term.description) == ["disk=ssd", "zone=north", "gpu!=old"])
        #expect(task.terms.preferred.map(\.weight) == [10, 10, 1])
    }

    @Test func `near and apart are of the run or of a group`() throws {
        let run = try read(#""sticky": "run", "apart": "run", "#)
        #expect(run.terms.near == .run && run.terms.apart == .init(.run, isRequired: false))
        let group = try read(#""sticky": "group", "apart": {"from": "group", "required": true}, "group": "${{ input.data.customer }}", "#)
        #expect(group.terms.near == .key && group.terms.apart == .init(.key, isRequired: true) && group.group != nil)
    }

    @Test func `priority and cost have their bounds`() throws {
        let least = try read(#""priority": 0, "cost": 1, "#)
        let most = try read(#""priority": 9, "cost": 10000, "#)
        #expect(least.priority == 0 && most.priority == 9 && most.shape.cost == 10_000)
        let light = try read(#""cost": 100000, "#, use: "transform@1")
        #expect(light.shape.cost == 100_000)
    }

    @Test func `a group is resolved for each run, whatever it gives`() throws {
        for (template, expected) in [(#""g""#, "g"), (#""${{ message.id }}""#, "m-1"), (#""${{ message.data.n }}""#, "2")] {
            let definition = try workflow(#"{"a": \#(exec(#""sticky": "group", "group": \#(template), "#))}"#)
            let message = Message(id: "m-1", source: "s", type: "t", data: ["n": 2])
            let run = WorkflowRun(
                id: RunID(high: 1, low: 1), definition: definition, definitionVersion: 1, rule: "r", message: message, params: nil,
                timeout: nil, retriesLeft: 0, retryOf: nil, trace: nil, now: ClusterTime(milliseconds: 1))
            let context = WorkflowRun.Context(
                definition: definition, now: ClusterTime(milliseconds: 1), generator: SeededGenerator(seed: 1))
            #expect(run.demand(of: 0, context).key == expected)
        }
    }

    // MARK: Refusals

    static let refusals: [TaskReaderTests.Refusal] = [
        .init(exec(#""priority": 10, "#), "/priority", "10 is outside 0 to 9"),
        .init(exec(#""priority": "high", "#), "/priority", "expected a whole number, found a string"),
        .init(exec(#""cost": 0, "#), "/cost", "0 is outside 1 to 10000"),
        .init(exec(#""cost": 10001, "#), "/cost", "10001 is outside 1 to 10000"),
        .init(exec(#""labels": ["zone"], "#), "/labels", "expected a map, found a list"),
        .init(
            exec(#""labels": {"Zone": "north"}, "#), "/labels/Zone",
            "label 'Zone' is no label's name: use 1 to 63 bytes of a-z, 0-9, '.', '_', '-' and '/'"),
        .init(
            exec(#""labels": {"gpu": true}, "#), "/labels/gpu",
            "expected the label's value as text, a list of such, {not: ...} or {exists: true}, found a bool; put numbers and words such as true in quotes"
        ),
        .init(
            exec(#""labels": {"zone": "a b"}, "#), "/labels/zone",
            "the value 'a b' of label 'zone' cannot be used: at most 128 visible ASCII characters, no spaces"),
        .init(
            exec(#""labels": {"zone": []}, "#), "/labels/zone",
            "no value of label 'zone' is asked for: name at least one, or ask whether it exists"),
        .init(exec(#""labels": {"zone": ["a", 5]}, "#), "/labels/zone/1", "expected text, found a number"),
        .init(exec(#""labels": {"zone": {"nto": "a"}}, "#), "/labels/zone/nto", "unknown key 'nto'; did you mean 'not'?"),
        .init(exec(#""labels": {"zone": {}}, "#), "/labels/zone", "expected 'not' with values, or 'exists' with true or false"),
        .init(
            exec(#""labels": {"zone": {"not": "a", "exists": true}}, "#), "/labels/zone",
            "'not' and 'exists' do not go together: a label that is none of some values may be missing"),
        .init(exec(#""prefer": {"labels": {}}, "#), "/prefer", "expected a list, found a map"),
        .init(exec(#""prefer": [{"weight": 3}], "#), "/prefer/0", "'labels' is missing"),
        .init(exec(#""prefer": [{"labels": {"a": "b"}, "weight": 101}], "#), "/prefer/0/weight", "101 is outside 1 to 100"),
        .init(exec(#""sticky": "rnu", "#), "/sticky", "'rnu' is none of run, group; did you mean 'run'?"),
        .init(
            exec(#""sticky": "group", "#), "/sticky",
            "which group is not said: add 'group', for example group: \"${{ input.customer }}\""),
        .init(exec(#""apart": {"required": true}, "#), "/apart", "'from' is missing"),
        .init(exec(#""apart": {"from": "run", "required": "yes"}, "#), "/apart/required", "expected true or false, found a string"),
        .init(
            exec(#""sticky": "run", "group": "g", "#), "/group",
            "nothing reads 'group': say 'sticky: group' or 'apart: group' too, or leave it out"),
        .init(exec(#""sticky": "group", "group": 5, "#), "/group", "expected text, found a number"),
        .init(
            #"{"use": "wait", "with": {"duration": "1s"}, "priority": 3}"#, "/priority",
            "'priority' is for tasks that a worker runs, and wait@1 has none: leave it out"),
        .init(
            exec(
                #""labels": {\#((0...32).map { #""l\#($0)": "v""# }.joined(separator: ", "))}, "#), "",
            "33 placement terms are more than the 32 that one may have: leave some out"),
    ]

    @Test(arguments: refusals) func `what cannot be is refused at its place`(refusal: TaskReaderTests.Refusal) throws {
        let found = try problems(tasks: #"{"a": \#(refusal.task)}"#)
        #expect(found.contains(ShapeProblem(pointer: "/tasks/a" + refusal.pointer, message: refusal.message)), "\(found)")
    }

    @Test func `a group reads only what is sure to have ended`() throws {
        let tasks = #"{"a": \#(exec("")), "b": \#(exec(#""sticky": "group", "group": "${{ tasks.a.output }}", "#))}"#
        let found = try problems(tasks: tasks)
        #expect(found.map(\.pointer) == ["/tasks/b/group"])
    }
}
