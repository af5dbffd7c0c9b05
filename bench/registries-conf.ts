/** containers-registries.conf(5): mirrors are asked in their order, and then the location itself. */
export function mirroredBy(mirror: string, location: string): string {
  return `[[registry]]
location = "${location}"
insecure = true
[[registry.mirror]]
location = "${mirror}"
insecure = true
`;
}
