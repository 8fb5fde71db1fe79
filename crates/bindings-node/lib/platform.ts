/** Which platform this is: whoever builds the native part and whoever loads it must say the same. */

import { readFileSync } from 'node:fs'

/** The name of the platform, as in the names of the packages that bring the native part. */
export function platform(): string {
  const { platform, arch } = process
  switch (platform) {
    case 'linux':
      return `linux-${arch}-${isMusl() ? 'musl' : 'gnu'}`
    case 'win32':
      return `win32-${arch}-msvc`
    default:
      return `${platform}-${arch}`
  }
}

function isMusl(): boolean {
  try {
    // What every dynamic program of the system names.
    return readFileSync('/usr/bin/ldd', 'latin1').includes('musl')
  } catch {
    const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined
    return report?.header?.glibcVersionRuntime === undefined
  }
}
