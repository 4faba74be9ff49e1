import { Fact } from '../../shared/fact.tsx'
import { CopyableDigest } from './copyable-digest.tsx'

interface PackFilesProps {
  /** Says how many there are. */
  title: string
  files: { name: string; sha256: string }[]
}

/** The files of a pack of models with their SHA-256, folded up. */
export function PackFiles({ title, files }: PackFilesProps) {
  return (
    <details className="border-line border-t">
      <summary className="px-4 py-3 font-medium">{title}</summary>
      <dl className="grid gap-x-8 gap-y-2 px-4 pb-4 sm:grid-cols-[repeat(auto-fill,minmax(13rem,1fr))]">
        {files.map(({ name, sha256 }) => (
          <Fact key={name} label={name}>
            <CopyableDigest digest={sha256} />
          </Fact>
        ))}
      </dl>
    </details>
  )
}
