import { useId } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from '../../../shared/button.tsx'
import { useObjectUrl } from '../../../shared/object-url.ts'

interface PhotoChoiceProps {
  photos: readonly File[]
  /** The place of the avatar among them; undefined keeps the one that there is. */
  avatar: number | undefined
  /** Whether there is one that can be kept. */
  hasAvatar: boolean
  onAvatar: (index: number | undefined) => void
  /** Of pictures that are drawn here; those of the camera are drawn beside it. */
  onRemove?: (index: number) => void
}

/** The photos that will be sent, and which of them is shown beside the name. */
export function PhotoChoice({ photos, avatar, hasAvatar, onAvatar, onRemove }: PhotoChoiceProps) {
  const { t } = useTranslation()
  const name = useId()
  return (
    <fieldset className="flex flex-col gap-3">
      <legend className="mb-2 font-medium text-sm">{t('enrol.whichAvatar')}</legend>
      {hasAvatar && (
        <label className="flex items-center gap-2">
          <input
            type="radio"
            name={name}
            checked={avatar === undefined}
            onChange={() => onAvatar(undefined)}
            className="size-4 accent-(--accent)"
          />
          {t('enrol.keepAvatar')}
        </label>
      )}
      <div className={onRemove ? 'grid grid-cols-3 gap-3 sm:grid-cols-5' : 'flex flex-wrap gap-x-5 gap-y-2'}>
        {photos.map((photo, index) => (
          <div key={index} className="flex min-w-0 flex-col gap-1">
            <label className="flex min-w-0 cursor-pointer flex-col gap-1 text-sm">
              {onRemove && <Thumbnail photo={photo} />}
              <span className="flex min-w-0 items-center gap-2">
                <input
                  type="radio"
                  name={name}
                  checked={avatar === index}
                  onChange={() => onAvatar(index)}
                  className="size-4 shrink-0 accent-(--accent)"
                />
                <span className="truncate">{photo.name}</span>
              </span>
            </label>
            {onRemove && (
              <Button look="quiet" onClick={() => onRemove(index)} className="px-2!">
                {t('enrol.remove')}
              </Button>
            )}
          </div>
        ))}
      </div>
    </fieldset>
  )
}

export function Thumbnail({ photo }: { photo: Blob }) {
  const url = useObjectUrl(photo)
  return (
    <span className="block aspect-square overflow-hidden rounded-xl bg-sunken">
      {url && <img src={url} alt="" className="size-full object-cover" />}
    </span>
  )
}
