import Primitives
import Testing
import Workflows

/// Labels that are required, preferred or avoided, and tasks that want to be near or apart (PlacementTerms.swift).
struct SchedulingTermsTests {
    private func placement(_ workers: KeyValuePairs<String, KeyValuePairs<String, String>>, slots: Int = 2) throws -> Placement {
        var placement = Placement()
        for (name, labels) in workers {
            placement.join(try NodeID(name), .init(slots: slots, light: 2, labels: try Scheduling.labels(labels)))
        }
        return placement
    }

    @Test func `a term tests one label`() throws {
        let labels = try Scheduling.labels(["zone": "north", "gpu": ""])
        #expect(try Scheduling.has("zone", "south", "north").matches(labels))
        #expect(try !Scheduling.has("zone", "south").matches(labels))
        #expect(try !Scheduling.has("disk", "ssd").matches(labels))
        #expect(try Scheduling.has("gpu", "").matches(labels))
        #expect(try Scheduling.lacks("zone", "south").matches(labels))
        #expect(try Scheduling.lacks("disk", "ssd").matches(labels))
        #expect(try !Scheduling.lacks("zone", "south", "north").matches(labels))
        #expect(try LabelTerm("gpu", .exists).matches(labels))
        #expect(try !LabelTerm("disk", .exists).matches(labels))
        #expect(try LabelTerm("disk", .isMissing).matches(labels))
        #expect(try !LabelTerm("gpu", .isMissing).matches(labels))
    }

    @Test func `a required label keeps a task from all others, also when they are empty`() throws {
        var placement = try placement(["a": ["zone": "north"], "b": ["zone": "south"], "c": [:]])
        let demand = Scheduling.demand(try PlacementTerms(required: [Scheduling.has("zone", "south")]))
        #expect(placement.names(3, demand) == ["b", "b", nil])
        #expect(placement.place(demand) == .full)
    }

    @Test func `required anti-affinity keeps away from a label`() throws {
        var placement = try placement(["a": ["spot": "yes"], "b": [:]])
        let demand = Scheduling.demand(try PlacementTerms(required: [Scheduling.lacks("spot", "yes")]))
        #expect(placement.names(3, demand) == ["b", "b", nil])
    }

    @Test func `every required term must hold at one worker`() throws {
        var placement = try placement(["a": ["zone": "north"], "b": ["disk": "ssd"], "c": ["zone": "north", "disk": "ssd"]])
        let demand = Scheduling.demand(try PlacementTerms(required: [Scheduling.has("zone", "north"), Scheduling.has("disk", "ssd")]))
        #expect(placement.names(3, demand) == ["c", "c", nil])
    }

    @Test func `a preferred label is filled first, then the rest`() throws {
        var placement = try placement(["a": [:], "b": ["disk": "ssd"], "c": [:]])
        let demand = Scheduling.demand(try PlacementTerms(preferred: [.init(Scheduling.has("disk", "ssd"))]))
        #expect(placement.names(7, demand) == ["b", "b", "a", "c", "a", "c", nil])
    }

    @Test func `preferred anti-affinity leaves such workers for last`() throws {
        var placement = try placement(["a": ["spot": "yes"], "b": [:]], slots: 1)
        let demand = Scheduling.demand(try PlacementTerms(preferred: [.init(Scheduling.lacks("spot", "yes"))]))
        #expect(placement.names(3, demand) == ["b", "a", nil])
    }

    @Test func `weights of preferences add up`() throws {
        var placement = try placement(
            ["a": ["x": "1"], "b": ["y": "1", "z": "1"], "c": ["x": "1", "y": "1"], "d": [:]], slots: 1)
        let terms = try PlacementTerms(preferred: [
            .init(Scheduling.has("x", "1"), weight: 5), .init(Scheduling.has("y", "1"), weight: 4),
            .init(Scheduling.has("z", "1"), weight: 2),
        ])
        #expect(placement.names(5, Scheduling.demand(terms)) == ["c", "b", "a", "d", nil])
    }

    @Test func `what a worker says of itself later counts from then on`() throws {
        var placement = try placement(["a": ["zone": "north"], "b": ["zone": "south"]], slots: 3)
        let demand = Scheduling.demand(try PlacementTerms(required: [Scheduling.has("zone", "north")]))
        #expect(placement.names(1, demand) == ["a"])
        placement.change(try NodeID("b"), .init(slots: 3, light: 2, labels: try Scheduling.labels(["zone": "north"])))
        placement.change(try NodeID("a"), .init(slots: 3, light: 2))
        #expect(placement.names(4, demand) == ["b", "b", "b", nil])
        #expect(placement[try NodeID("a")]?.usedSlots == 1)
    }

    // MARK: Groups

    @Test func `tasks of one run that must be apart take a worker each and wait for one that is free of them`() throws {
        var placement = try placement(["a": [:], "b": [:]])
        let apart = try PlacementTerms(apart: .init(.run, isRequired: true))
        #expect(placement.names(3, Scheduling.demand(1, apart)) == ["a", "b", nil])
        #expect(placement.place(Scheduling.demand(1, apart)) == .apart)
        #expect(placement.names(3, Scheduling.demand(2, apart)) == ["a", "b", nil])
        placement.release(try NodeID("b"), Scheduling.demand(1, apart))
        #expect(placement.place(Scheduling.demand(1, apart)) == .placed(try NodeID("b")))
    }

    @Test func `where being apart is only preferred, sharing is better than waiting`() throws {
        var placement = try placement(["a": [:], "b": [:]])
        let demand = Scheduling.demand(1, try PlacementTerms(apart: .init(.run, isRequired: false)))
        #expect(placement.names(5, demand) == ["a", "b", "a", "b", nil])
    }

    @Test func `tasks with one key are kept apart over runs, and only within their namespace`() throws {
        let apart = try PlacementTerms(apart: .init(.key, isRequired: true))
        let shop = try Namespace("shop")
        var placement = try placement(["a": [:]], slots: 9)
        #expect(placement.place(Scheduling.demand(1, apart, key: "k")) == .placed(try NodeID("a")))
        #expect(placement.place(Scheduling.demand(2, apart, key: "k")) == .apart)
        #expect(placement.place(Scheduling.demand(2, apart, key: "other")) == .placed(try NodeID("a")))
        #expect(placement.place(Scheduling.demand(2, apart, key: "k", namespace: shop)) == .placed(try NodeID("a")))
        // One that has no key belongs to no group.
        #expect(placement.names(2, Scheduling.demand(3, apart)) == ["a", "a"])
    }

    @Test func `keys are told apart as bytes`() throws {
        let apart = try PlacementTerms(apart: .init(.key, isRequired: true))
        var placement = try placement(["a": [:]])
        #expect(placement.place(Scheduling.demand(1, apart, key: "\u{e9}")) == .placed(try NodeID("a")))
        #expect(placement.place(Scheduling.demand(2, apart, key: "e\u{301}")) == .placed(try NodeID("a")))
    }

    @Test func `a run's tasks go where it was, as long as there is room and nothing is wrong there`() throws {
        let near = try PlacementTerms(near: .run)
        var placement = try placement(["a": [:], "b": [:], "c": [:]])
        #expect(placement.names(4, Scheduling.demand(1, near)) == ["a", "a", "b", "b"])
        placement.release(try NodeID("b"), Scheduling.demand(1, near))
        // The least loaded would be c.
        #expect(placement.names(1, Scheduling.demand(1, near)) == ["b"])
        placement.release(try NodeID("b"), Scheduling.demand(1, near))
        placement.stand(try NodeID("b"), as: .suspect)
        #expect(placement.names(1, Scheduling.demand(1, near)) == ["c"])
        placement.release(try NodeID("c"), Scheduling.demand(1, near))
        placement.stand(try NodeID("c"), as: .cordoned)
        #expect(placement.names(2, Scheduling.demand(1, near)) == ["b", nil])
        placement.forget(Scheduling.run(1))
        placement.stand(try NodeID("c"), as: .available)
        #expect(placement.names(1, Scheduling.demand(1, near)) == ["c"])
    }

    @Test func `a key's tasks go where the last of them was`() throws {
        let near = try PlacementTerms(near: .key)
        var placement = try placement(["a": [:], "b": [:]], slots: 5)
        placement.occupy(try NodeID("b"), Scheduling.demand(1, near, key: "k"))
        #expect(placement.names(3, Scheduling.demand(2, near, key: "k")) == ["b", "b", "b"])
        #expect(placement.names(1, Scheduling.demand(2, near, key: "l")) == ["a"])
    }

    @Test func `required labels and being apart are stronger than nearness, nearness than preferences`() throws {
        var placement = try placement(["a": ["zone": "north"], "b": ["zone": "south", "disk": "ssd"], "c": ["zone": "south"]])
        let start = try PlacementTerms(required: [Scheduling.has("zone", "north")], near: .run)
        #expect(placement.names(1, Scheduling.demand(1, start)) == ["a"])
        let prefers = try PlacementTerms(preferred: [.init(Scheduling.has("disk", "ssd"), weight: 100)], near: .run)
        #expect(placement.names(1, Scheduling.demand(1, prefers)) == ["a"])
        let requires = try PlacementTerms(required: [Scheduling.has("zone", "south")], near: .run)
        #expect(placement.names(1, Scheduling.demand(1, requires)) == ["b"])
        let apart = try PlacementTerms(apart: .init(.run, isRequired: true), near: .run)
        #expect(placement.names(4, Scheduling.demand(2, apart)) == ["c", "b", nil, nil])
    }

    @Test func `more shapes than are indexed at once are placed as well`() throws {
        var placement = Placement()
        for number in 0..<200 {
            let labels = try Scheduling.labels(["host": "h\(number)"])
            placement.join(try NodeID("w\(number)"), .init(slots: 2, light: 0, labels: labels))
        }
        for _ in 0..<2 {
            for number in 0..<200 {
                let terms = try PlacementTerms(required: [Scheduling.has("host", "h\(number)")])
                #expect(placement.place(Scheduling.demand(terms)) == .placed(try NodeID("w\(number)")))
            }
        }
        #expect(placement.place(.exec) == nil)
    }
}
