"""Draw docs/pictures/app.webp: the page of `vlfusion app` with an example pair under other words.

    python scripts/app_picture.py
"""

import tempfile
from pathlib import Path
from shutil import which

from pictures import INSTRUCTIONS, OUT, save
from PIL import Image
from playwright.sync_api import sync_playwright

from vlfusion.app.serve import open_page

SIZE = {'width': 1280, 'height': 1000}
#: Width of the picture in pixels.
WIDTH = 960


def main() -> None:
    with (tempfile.TemporaryDirectory() as folder, open_page('film-guide-mif') as opened, sync_playwright() as play):
        browser = play.chromium.launch(executable_path=which('chromium'))
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(120_000)
        page.goto(opened.address)
        page.get_by_role('button', name='medical').click()
        page.wait_for_selector('#status li >> nth=1')
        page.click('#fuse')
        page.wait_for_selector('#slider img')
        page.get_by_role('tab', name='Words', exact=True).click()
        page.fill('#other-instruction textarea', INSTRUCTIONS[0])
        page.click('#again')
        page.wait_for_selector('#verdict p')
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")
        page.wait_for_timeout(1000)
        page.screenshot(path=f'{folder}/app.png', full_page=True)
        browser.close()
        picture = Image.open(Path(folder) / 'app.png')
        height = round(WIDTH * picture.height / picture.width)
        save(picture.resize((WIDTH, height), Image.Resampling.LANCZOS), OUT / 'app.webp')


if __name__ == '__main__':
    main()
