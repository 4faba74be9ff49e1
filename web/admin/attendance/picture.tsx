import { useTranslation } from 'react-i18next'
import { usePicture } from '../picture.ts'

interface Box {
  x: number
  y: number
  width: number
  height: number
}

interface DecisionPictureProps {
  /** Below /api/v1. */
  path: string
  /** Where the face was found, in pixels of a picture of `size`. */
  box?: Box | null
  size?: { width_px: number | null; height_px: number | null } | null
}

/** The picture that was decided on, with a frame around the face; nothing where it is not kept any more. */
export function DecisionPicture({ path, box, size }: DecisionPictureProps) {
  const { t } = useTranslation()
  const { url } = usePicture(path)
  if (!url) return null
  return (
    <div className="relative inline-block self-start overflow-hidden rounded-xl">
      <img src={url} alt={t('attendance.picture')} className="block max-h-80 w-auto max-w-full" />
      {box && size?.width_px && size.height_px && (
        <svg
          aria-hidden="true"
          viewBox={`0 0 ${size.width_px} ${size.height_px}`}
          preserveAspectRatio="none"
          className="absolute inset-0 size-full"
        >
          <rect
            {...box}
            fill="none"
            className="stroke-accent"
            strokeWidth="3"
            vectorEffect="non-scaling-stroke"
          />
        </svg>
      )}
    </div>
  )
}
