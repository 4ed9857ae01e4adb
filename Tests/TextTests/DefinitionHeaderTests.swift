import Primitives
import Testing

@testable import Text

/// What every definition begins with (DefinitionHeader.swift).
struct DefinitionHeaderTests {
    private let problems = Shape.Problems()

    private var pointers: [String] { problems.all.map(\.pointer) }

    private func header(_ value: Value, requested: Namespace = .default) -> DefinitionHeader? {
        DefinitionHeader(Shape(value, problems: problems), kind: "Workflow", requested: requested)
    }

    private func definition(metadata: Value, kind: Value = "Workflow", apiVersion: Value = "distric/v1") -> Value {
        ["apiVersion": apiVersion, "kind": kind, "metadata": metadata]
    }

    @Test func `a whole header is read`() throws {
        let metadata: Value = ["namespace": "team-a", "name": "send_mail", "version": "2", "labels": .map(Fields()), "description": "x"]
        let read = try #require(header(definition(metadata: metadata)))
        #expect(read.name == "send_mail")
        #expect(read.namespace.text == "team-a")
        #expect(read.version == "2")
        #expect(pointers.isEmpty)
    }

    @Test func `without a namespace the request's is taken, and another than the request's is refused`() throws {
        let team = try Namespace("team-a")
        let own = header(definition(metadata: ["name": "a"]), requested: team)
        #expect(own?.namespace == team)
        #expect(own?.version == nil)
        #expect(pointers.isEmpty)
        _ = header(definition(metadata: ["name": "a", "namespace": "team-b"]), requested: team)
        #expect(pointers == ["/metadata/namespace"])
    }

    @Test func `each wrong part is told at its place`() {
        _ = header(definition(metadata: ["name": "Not A Name", "namespace": "Ä", "nmae": 1], kind: "Rule", apiVersion: "distric/v9"))
        #expect(pointers == ["/apiVersion", "/kind", "/metadata/nmae", "/metadata/name", "/metadata/namespace"])
    }

    @Test func `without metadata or name there is no header`() {
        let empty = header(.map(Fields()))
        let unnamed = header(definition(metadata: .map(Fields())))
        let list = header([])
        #expect(empty?.name == nil)
        #expect(unnamed?.name == nil)
        #expect(list?.name == nil)
        #expect(pointers.contains("/metadata"))
    }
}
