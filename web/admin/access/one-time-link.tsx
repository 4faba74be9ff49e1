import { useTranslation } from 'react-i18next'
import { Button } from '../../shared/button.tsx'
import { Dialog } from '../../shared/dialog.tsx'
import { SecretText } from '../../shared/secret-text.tsx'

/** The link with which somebody chooses their password; it is shown this once. */
export function OneTimeLink({ path, who, onClose }: { path: string; who: string; onClose: () => void }) {
  const { t } = useTranslation()
  return (
    <Dialog title={t('access.linkFor', { name: who })} onClose={onClose}>
      <p className="mb-4 text-muted">{t('access.linkMeans')}</p>
      <SecretText label={t('access.link')} value={location.origin + path} />
      <div className="mt-6 flex justify-end">
        <Button look="primary" onClick={onClose}>
          {t('common.close')}
        </Button>
      </div>
    </Dialog>
  )
}
