import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { isIP, isIPv4 } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import { resolve } from 'node:path'
// What @peculiar/x509 finds its algorithms with; it refuses to load without.
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { makeWithParents, writeWhole } from '../shared/files.ts'
import { localTlsFiles, namesOf, shortAddress } from '../shared/tls.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const CA_DAYS = 3650
/** iPads refuse a certificate that is good for more than 825 days. */
const LEAF_DAYS = 820
/** A tablet's clock may be behind. */
const BACKDATED_MS = DAY_MS
/** The longest common name; browsers look at the alternative names alone. */
const MAX_CN = 64
const curve = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const always = ['localhost', '127.0.0.1', '::1']
/** What the CA may vouch for besides the names it was made with: networks that nobody else can be reached in. */
const privateNetworks = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '127.0.0.0/8']
const privateNetworks6 = ['::1/128', 'fc00::/7', 'fe80::/10']

export interface MadeCertificate {
  caFile: string
  certFile: string
  keyFile: string
  /** False when the CA was there already, so that no device needs it anew. */
  newCa: boolean
  names: string[]
  expiresAt: Date
  /** SHA-256 of the CA, to compare it with what a device shows. */
  caFingerprint: string
}

/**
 * Makes a CA in `dataDir`/tls where there is none, and with it a server certificate for `hosts`. Without any, for those
 * of the certificate before, or for this machine's name and addresses. The CA may vouch for its own names and for
 * private addresses alone (RFC 5280 name constraints): whoever steals it cannot pose as another site.
 * Throws an Error for the operator when a host is neither a name nor an address, or the CA is not good for it.
 */
export async function makeCertificate(
  dataDir: string,
  hosts: readonly string[],
  now: Date,
): Promise<MadeCertificate> {
  const files = localTlsFiles(dataDir)
  const before = existsSync(files.cert) ? namesOf(new X509Certificate(await readFile(files.cert))) : []
  const wanted = hosts.length > 0 ? hosts.map(cleanHost) : before.length > 0 ? before : hostsOfMachine()
  const names = [...new Set([...wanted, ...always])]
  await makeWithParents(resolve(files.folder))
  const newCa = !existsSync(files.ca)
  if (newCa) await makeCa(files, names, now)
  const ca = await readCa(files)
  if (new Date(ca.certificate.notAfter) <= now)
    throw new Error(`The CA ${files.ca} has expired. ${anew(files.folder)}`)

  const keys = await webcrypto.subtle.generateKey(curve, true, ['sign', 'verify'])
  const notAfter = new Date(Math.min(now.getTime() + LEAF_DAYS * DAY_MS, ca.certificate.notAfter.getTime()))
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [names[0]!.slice(0, MAX_CN)] }],
    issuer: ca.certificate.subject,
    notBefore: new Date(now.getTime() - BACKDATED_MS),
    notAfter,
    publicKey: keys.publicKey,
    signingKey: ca.key,
    signingAlgorithm: curve,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((name) => ({ type: isIP(name) ? ('ip' as const) : ('dns' as const), value: name })),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(ca.certificate.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  const outside = names.filter((name) => !ca.covers(name))
  if (outside.length > 0)
    throw new Error(
      `The CA ${files.ca} may not vouch for ${outside.join(', ')}: it is good for the names it was made with, and for ` +
        `private addresses. ${anew(files.folder)}`,
    )
  // The key first: a server that looks in between finds two that do not fit, and looks again.
  await writeWhole(files.key, await pemOfKey(keys.privateKey), 0o600)
  await writeWhole(files.cert, `${certificate.toString('pem')}\n`, 0o644)
  return {
    caFile: files.ca,
    certFile: files.cert,
    keyFile: files.key,
    newCa,
    names,
    expiresAt: certificate.notAfter,
    caFingerprint: new X509Certificate(await readFile(files.ca)).fingerprint256,
  }
}

const anew = (folder: string) =>
  `Move the folder ${folder} away and run this again: a new CA is made, which every device has to install then.`

function cleanHost(host: string): string {
  const name = shortAddress(host.trim().toLowerCase())
  if (
    isIP(name) ||
    /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/.test(name)
  )
    return name
  throw new Error(
    `${host} is neither a host name nor an address. Name what browsers open, such as kiosk.example.com or 192.168.1.10.`,
  )
}

function hostsOfMachine(): string[] {
  const addresses = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && isIPv4(address))
    .map(({ address }) => address)
  return [hostname(), ...addresses].flatMap((host) => {
    try {
      return [cleanHost(host)]
    } catch {
      return []
    }
  })
}

type Files = ReturnType<typeof localTlsFiles>

async function makeCa(files: Files, names: readonly string[], now: Date): Promise<void> {
  const keys = await webcrypto.subtle.generateKey(curve, true, ['sign', 'verify'])
  const made = now.toISOString().slice(0, 10)
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ O: ['Rollcall'] }, { CN: [`Rollcall on ${names[0]}, ${made}`.slice(0, MAX_CN)] }],
    notBefore: new Date(now.getTime() - BACKDATED_MS),
    notAfter: new Date(now.getTime() + CA_DAYS * DAY_MS),
    keys,
    signingAlgorithm: curve,
    extensions: [
      // It signs servers and no further CA.
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      new x509.Extension(NAME_CONSTRAINTS, true, permitted(names)),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  await writeWhole(files.caKey, await pemOfKey(keys.privateKey), 0o600)
  await writeWhole(files.ca, `${certificate.toString('pem')}\n`, 0o644)
}

async function readCa(files: Files) {
  try {
    const certificate = new x509.X509Certificate(await readFile(files.ca, 'utf8'))
    const pkcs8 = createPrivateKey(await readFile(files.caKey)).export({ format: 'der', type: 'pkcs8' })
    const key = await webcrypto.subtle.importKey('pkcs8', new Uint8Array(pkcs8), curve, false, ['sign'])
    const constraints = certificate.getExtension(NAME_CONSTRAINTS)
    const subtrees = Buffer.from(constraints?.value ?? new ArrayBuffer(0)).toString('hex')
    /** The names it was made with stand in the certificate as they would be written now. */
    const covers = (name: string) =>
      subtreesOf(name).some((subtree) => subtrees.includes(subtree.toString('hex')))
    return { certificate, key, covers }
  } catch (cause) {
    throw new Error(
      `The CA in ${files.folder} cannot be read. Restore ca.crt and ca.key from a backup. Without one: ${anew(files.folder)}`,
      { cause },
    )
  }
}

// ---------------------------------------------------------------- name constraints, RFC 5280 4.2.1.10

const NAME_CONSTRAINTS = '2.5.29.30'

/** The extension's value: the subtrees that are permitted. What is no DNS name and no address stays unrestricted. */
function permitted(names: readonly string[]): Buffer {
  const addresses = names.filter((name) => isIP(name) && !isPrivate(name)).map(addressSubtree)
  const subtrees = [
    ...names.filter((name) => !isIP(name)).map(nameSubtree),
    ...[...privateNetworks, ...privateNetworks6].map(addressSubtree),
    ...addresses,
  ]
  return der(0x30, der(0xa0, ...subtrees))
}

const isPrivate = (address: string) => networksAround(address).length > 0

/** The subtrees of which one must be permitted for this name. */
function subtreesOf(name: string): Buffer[] {
  if (isIP(name)) return [addressSubtree(name), ...networksAround(name).map(addressSubtree)]
  const labels = name.split('.')
  return labels.map((_, index) => nameSubtree(labels.slice(index).join('.')))
}

function networksAround(address: string): string[] {
  const bits = bitsOf(address)
  return (isIPv4(address) ? privateNetworks : privateNetworks6).filter((network) => {
    const [base, prefix] = network.split('/')
    return bits.startsWith(bitsOf(base!).slice(0, Number(prefix)))
  })
}

const nameSubtree = (name: string) => der(0x30, der(0x82, Buffer.from(name, 'latin1')))

/** An address or a block: the address and its mask, one after the other. */
function addressSubtree(block: string): Buffer {
  const [address, prefix] = block.split('/')
  const bits = bitsOf(address!)
  const mask = '1'.repeat(Number(prefix ?? bits.length)).padEnd(bits.length, '0')
  return der(0x30, der(0x87, bytesOf(bits + mask)))
}

function bitsOf(address: string): string {
  if (isIPv4(address))
    return address
      .split('.')
      .map((part) => Number(part).toString(2).padStart(8, '0'))
      .join('')
  const [head, tail] = address.split('::').map((half) => (half === '' ? [] : half.split(':')))
  const groups =
    tail === undefined ? head! : [...head!, ...Array(8 - head!.length - tail.length).fill('0'), ...tail]
  return groups.map((group: string) => Number.parseInt(group, 16).toString(2).padStart(16, '0')).join('')
}

const bytesOf = (bits: string) => Buffer.from(bits.match(/.{8}/g)!.map((byte) => Number.parseInt(byte, 2)))

/** One value in DER, of what it holds. */
function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

// ---------------------------------------------------------------- files

async function pemOfKey(key: webcrypto.CryptoKey): Promise<string> {
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key))
  return createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({
    format: 'pem',
    type: 'pkcs8',
  }) as string
}

// ---------------------------------------------------------------- what to do with it

/** What an operator has to do next, in plain words. `address` is where the server is to be reached. */
export function installGuide(made: MadeCertificate, port: number): string {
  const host = made.names[0]!.includes(':') ? `[${made.names[0]}]` : made.names[0]
  const base = `https://${host}:${port}`
  const summary = [
    `Made a certificate for ${made.names.join(', ')}; it is good until ${made.expiresAt.toISOString().slice(0, 10)}.`,
    '"rollcall start" uses it by itself as long as TLS_CERT is not set. To let other machines in, set HOST=0.0.0.0.',
  ]
  if (!made.newCa)
    return [
      ...summary,
      'The CA is the same as before: devices that have installed it need nothing. A running server takes the new',
      'certificate within ten seconds.',
      '',
    ].join('\n')
  return [
    ...summary,
    '',
    `Every tablet and PC has to trust the CA in ${made.caFile} once. It has the SHA-256 fingerprint`,
    `  ${made.caFingerprint}`,
    `Bring that file to the device, or start the server and open ${base}/ca.crt there: the browser warns this one`,
    'time; go on, and compare the fingerprint before you install what it fetched.',
    '',
    'Android tablet: Settings > Security and privacy > More security settings > Encryption and credentials > Install',
    '  a certificate > CA certificate > "Install anyway", and choose ca.crt. The names of the menus differ: search the',
    '  settings for "CA certificate". The tablet needs a screen lock. Then open the address in Chrome.',
    'iPad: open ca.crt in Safari and allow the download. Settings > General > VPN & Device Management > Rollcall >',
    '  Install. Then Settings > General > About > Certificate Trust Settings, and switch Rollcall on: without this',
    '  second step Safari goes on refusing.',
    'Windows: double-click ca.crt > Install Certificate > Local Machine > Place all certificates in the following',
    '  store > Trusted Root Certification Authorities. Or, as administrator: certutil -addstore Root ca.crt',
    'macOS: sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain ca.crt',
    'Linux: sudo cp ca.crt /usr/local/share/ca-certificates/rollcall.crt && sudo update-ca-certificates; Chrome and',
    '  Firefox have stores of their own: import it in their settings, under certificates, authorities.',
    '',
    `Whoever has ${made.caFile.replace(/ca\.crt$/, 'ca.key')} can pose as this server. It stays here.`,
    '',
    `Then open ${base}. Run "rollcall tls init" again before ${made.expiresAt.toISOString().slice(0, 10)}: that renews`,
    'the certificate with the same CA, and no device needs anything.',
    '',
  ].join('\n')
}
