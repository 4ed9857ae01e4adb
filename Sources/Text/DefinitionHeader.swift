package import Primitives

/// What every definition begins with: apiVersion, kind, metadata.
package struct DefinitionHeader: Equatable, Sendable {
    package var namespace: Namespace
    package var name: String
    package var version: String?

    /// - Parameter requested: the namespace of the request; a definition that names another is refused.
    package init?(_ shape: Shape, kind: String, requested: Namespace) {
        if let version = shape.required("apiVersion")?.string(), version != "distric/v1" {
            shape["apiVersion"]?.fail("'\(version)' is not known; write distric/v1")
        }
        if let found = shape.required("kind")?.string(), found != kind { shape["kind"]?.fail("expected kind \(kind), found '\(found)'") }
        guard let metadata = shape.required("metadata") else { return nil }
        metadata.only(["namespace", "name", "version", "labels", "description"])
        guard let named = metadata.required("name"), let name = named.string() else { return nil }
        if !isDefinitionName(name) { named.fail("'\(name)' is no name: 1 to 63 of a-z, 0-9, '_' and '-'") }
        self.name = name
        version = metadata["version"].flatMap { $0.string() }
        namespace = requested
        guard let written = metadata["namespace"], let text = written.string() else { return }
        do throws(IdentifierError) {
            let own = try Namespace(text)
            if own != requested, requested != .default {
                written.fail("the definition is of namespace '\(own)', the request of '\(requested)'")
            }
            namespace = own
        } catch {
            written.fail(error.description)
        }
    }
}
