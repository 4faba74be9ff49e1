import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Server } from 'node:https'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import type { Config } from './config.ts'
import type { Logger } from './log.ts'

/** A certificate that may be served, and its key, both as PEM. */
export interface Tls {
  certFile: string
  keyFile: string
  cert: Buffer
  key: Buffer
  /** DNS names and addresses, in the certificate's order. */
  names: string[]
  expiresAt: Date
  /** SHA-256 of the certificate, as `AB:CD:…`. */
  fingerprint: string
  /** Signed by the CA that `rollcall tls init` made. */
  local: boolean
}

type TlsSettings = Pick<Config, 'TLS_CERT' | 'TLS_KEY' | 'DATA_DIR'>

/** What `rollcall tls init` makes, all below DATA_DIR. */
export function localTlsFiles(dataDir: string) {
  const folder = join(dataDir, 'tls')
  return {
    folder,
    ca: join(folder, 'ca.crt'),
    caKey: join(folder, 'ca.key'),
    cert: join(folder, 'server.crt'),
    key: join(folder, 'server.key'),
  }
}

/**
 * The certificate to serve: that of TLS_CERT and TLS_KEY, else the one that `rollcall tls init` made; undefined where
 * there is neither, which means plain HTTP. Throws an Error with a sentence for the operator when one of the two
 * settings is missing, a file cannot be read, the two do not fit together, or the certificate is not valid now.
 */
export async function loadTls(settings: TlsSettings, now: Date): Promise<Tls | undefined> {
  const { TLS_CERT, TLS_KEY, DATA_DIR } = settings
  if ((TLS_CERT === undefined) !== (TLS_KEY === undefined))
    throw new Error(
      `${TLS_CERT === undefined ? 'TLS_KEY' : 'TLS_CERT'} is set without ` +
        `${TLS_CERT === undefined ? 'TLS_CERT' : 'TLS_KEY'}. Set both, or neither.`,
    )
  const files = localTlsFiles(DATA_DIR)
  if (TLS_CERT !== undefined) return readTls(TLS_CERT, TLS_KEY!, now, false)
  return existsSync(files.cert) ? readTls(files.cert, files.key, now, true) : undefined
}

async function readTls(certFile: string, keyFile: string, now: Date, local: boolean): Promise<Tls> {
  const remedy = local ? 'Make a new one with: rollcall tls init.' : 'Correct TLS_CERT and TLS_KEY.'
  const [cert, key] = await Promise.all(
    [certFile, keyFile].map((path) =>
      readFile(path).catch((cause: NodeJS.ErrnoException) => {
        throw new Error(
          `The file ${path} for TLS cannot be read (${cause.code}). Let the user that runs the server read it. ${remedy}`,
          { cause },
        )
      }),
    ),
  )
  const certificate = parsed(
    () => new X509Certificate(cert),
    `${certFile} is no certificate in PEM. ${remedy}`,
  )
  const privateKey = parsed(
    () => createPrivateKey(key),
    `${keyFile} is no private key in PEM without a passphrase. ${remedy}`,
  )
  if (!certificate.checkPrivateKey(privateKey))
    throw new Error(`The key ${keyFile} does not belong to the certificate ${certFile}. ${remedy}`)
  const [validFrom, expiresAt] = [new Date(certificate.validFrom), new Date(certificate.validTo)]
  if (expiresAt <= now)
    throw new Error(`The certificate ${certFile} expired at ${expiresAt.toISOString()}. Renew it. ${remedy}`)
  if (validFrom > now)
    throw new Error(
      `The certificate ${certFile} is valid from ${validFrom.toISOString()} only. Check this machine's clock. ${remedy}`,
    )
  return {
    certFile,
    keyFile,
    cert,
    key,
    names: namesOf(certificate),
    expiresAt,
    fingerprint: certificate.fingerprint256,
    local,
  }
}

function parsed<T>(parse: () => T, sentence: string): T {
  try {
    return parse()
  } catch (cause) {
    throw new Error(sentence, { cause })
  }
}

/** The names and addresses that a certificate is for. */
export function namesOf(certificate: X509Certificate): string[] {
  return (certificate.subjectAltName ?? '')
    .split(', ')
    .map((name) => /^(?:DNS|IP Address):(.+)$/.exec(name)?.[1])
    .filter((name) => name !== undefined)
    .map(shortAddress)
}

/** An IPv6 address as it is usually written; anything else as it is. */
export function shortAddress(name: string): string {
  return isIPv6(name) ? new URL(`http://[${name}]`).hostname.slice(1, -1) : name
}

/** What a browser is to open: HOST, or where that is no address of one machine, the certificate's first name. */
export function hostOfAddress(host: string, tls: Tls | undefined): string {
  const shown = tls && ['0.0.0.0', '::'].includes(host) ? (tls.names[0] ?? host) : host
  return shown.includes(':') ? `[${shown}]` : shown
}

const LOOK_EVERY_MS = 5000

/**
 * Serves a renewed certificate without a restart: the files are read every few seconds, because no notice of a change
 * reaches a program through every mount and link. One that may not be served is warned of, and the old one stays.
 * Returns the function that stops it.
 */
export function followTls(server: Server, served: Tls, settings: TlsSettings, log: Logger): () => void {
  let current = served
  let complaint = ''
  const look = async () => {
    try {
      const found = await loadTls(settings, new Date())
      complaint = ''
      if (!found || (found.cert.equals(current.cert) && found.key.equals(current.key))) return
      server.setSecureContext({ cert: found.cert, key: found.key })
      current = found
      log.info({ file: found.certFile, expires: found.expiresAt }, 'serving the renewed certificate')
    } catch (error) {
      const { message } = error as Error
      if (message !== complaint) log.warn(`${message} The certificate that was read before is served on.`)
      complaint = message
    }
  }
  const timer = setInterval(() => void look(), LOOK_EVERY_MS)
  timer.unref()
  return () => clearInterval(timer)
}
