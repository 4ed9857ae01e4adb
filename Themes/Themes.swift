/// The themes that the binary carries; the files beside this one, to read and to copy.
package enum Themes {
    package static let standard = "distric-dark"

    /// Name and bytes of each, the standard one first.
    package static var all: [(name: String, toml: [UInt8])] {
        [
            ("distric-dark", PackageResources.distric_dark_toml), ("distric-light", PackageResources.distric_light_toml),
            ("mono", PackageResources.mono_toml), ("tty16", PackageResources.tty16_toml),
            ("high-contrast", PackageResources.high_contrast_toml), ("deuteranopia", PackageResources.deuteranopia_toml),
            ("tritanopia", PackageResources.tritanopia_toml), ("frost", PackageResources.frost_toml),
        ]
    }
}
